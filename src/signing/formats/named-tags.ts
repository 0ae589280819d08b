/**
 * @module Which tags a signature names in what it signs: `cosign sign -a tag=v1`, the name of a subject, the reference
 * that podman writes. Only then it can be said to be about a tag, and not only about an image.
 *
 * @apart Every format has a place of its own for it.
 */
import { type Loose, listOf, objectOf, textOf } from './encoding.ts'

/** Tags that one signature can name. */
const tagsMax = 16

const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/

/** Of the payload of a simple signing. */
export function tagsOfPayload({ critical, optional }: Loose): readonly string[] {
  const reference = objectOf(objectOf(critical)?.['identity'])?.['docker-reference']
  return tagsIn([objectOf(optional)?.['tag']], [reference])
}

/** Of an in-toto statement about the image with this digest (`algorithm:encoded`). */
export function tagsOfStatement({ subject }: Loose, digest: string): readonly string[] {
  const [algorithm = '', encoded] = digest.split(':')
  const about = listOf(subject)
    .map((it) => objectOf(it) ?? {})
    .filter((it) => objectOf(it['digest'])?.[algorithm] === encoded)
    .slice(0, tagsMax)
  return tagsIn(
    about.map((it) => objectOf(it['annotations'])?.['tag']),
    about.map((it) => it['name']),
  )
}

/** Of the target of a signature of Notation. */
export function tagsOfTarget(target: Loose): readonly string[] {
  return tagsIn([objectOf(target['annotations'])?.['tag']], [])
}

function tagsIn(tags: readonly unknown[], references: readonly unknown[]): readonly string[] {
  const found = [...tags.map(textOf), ...references.map((it) => tagOfReference(textOf(it)))]
  return [...new Set(found.filter((it) => it !== undefined && TAG.test(it)))].slice(
    0,
    tagsMax,
  ) as string[]
}

/** The tag in `host:port/path:tag@digest`; undefined: it has none. */
function tagOfReference(reference: string | undefined): string | undefined {
  if (reference === undefined || reference.length > 1024) return undefined
  const [name = ''] = reference.split('@', 1)
  const last = name.slice(name.lastIndexOf('/') + 1)
  const colon = last.indexOf(':')
  return colon < 0 ? undefined : last.slice(colon + 1)
}
