/**
 * @module What a manifest of an unknown type refers to. "I see no references" is not "it has none", and
 * collection takes what nothing refers to. So each descriptor where the known types have theirs is read
 * as strictly as theirs (the withdrawn OCI artifact manifest and ORAS's have `blobs`), and any other
 * digest anywhere in the document counts as a reference that need not be there.
 */
import type { Descriptor, ManifestChild } from './descriptor.ts'
import { judgeDigest } from './digest.ts'
import { RegistryError } from './errors.ts'
import { manifestDescriptorsMax } from './limits.ts'
import { isNonDistributable } from './media-type.ts'

/** Members that hold descriptors, one or a list of them, with what they are to the manifest. */
const MEMBERS: Readonly<Record<string, ManifestChild['kind']>> = {
  config: 'config',
  blobs: 'layer',
  layers: 'layer',
  manifests: 'manifest',
}

export interface Edges {
  readonly subject: Descriptor | undefined
  readonly children: readonly ManifestChild[]
}

/** Reads one descriptor or throws; `place` is where it stands. */
type ReadDescriptor = (raw: object, place: string) => Descriptor

/**
 * The edges of a parsed document that is no deeper than `manifestDepthMax`. Throws what `read` throws,
 * and MANIFEST_INVALID for more references than a manifest may have.
 */
export function readEdges(json: Readonly<Record<string, unknown>>, read: ReadDescriptor): Edges {
  const children: ManifestChild[] = []
  const known = new Set<string>()
  for (const [member, kind] of Object.entries(MEMBERS)) {
    for (const [raw, place] of descriptorsOf(json[member], member)) {
      const checked = read(raw, place)
      known.add(checked.digest.digest)
      children.push({ ...checked, kind, isRequired: !isNonDistributable(checked.mediaType) })
      requireFew(children.length)
    }
  }
  const [subject] = descriptorsOf(json['subject'], 'subject').map(([raw, place]) =>
    read(raw, place),
  )
  if (subject !== undefined) known.add(subject.digest.digest)
  forEachText(json, (text) => {
    const digest = judgeDigest(text)
    if (digest.kind !== 'computed' || known.has(text)) return
    known.add(text)
    children.push({
      kind: 'manifest',
      mediaType: '',
      digest,
      sizeBytes: undefined,
      isRequired: false,
    })
    requireFew(children.length)
  })
  return { subject, children }
}

/** What claims to be a descriptor: an object with a digest. Anything else has another meaning there. */
function descriptorsOf(value: unknown, member: string): (readonly [object, string])[] {
  const isList = Array.isArray(value)
  return (isList ? value : [value]).flatMap((raw: unknown, index) => {
    if (typeof raw !== 'object' || raw === null || !Object.hasOwn(raw, 'digest')) return []
    return [[raw, isList ? `${member}[${index}]` : member] as const]
  })
}

/** Every text of the document, names of members too. */
function forEachText(value: unknown, look: (text: string) => void): void {
  if (typeof value === 'string') look(value)
  else if (Array.isArray(value)) for (const item of value) forEachText(item, look)
  else if (typeof value === 'object' && value !== null) {
    for (const [name, member] of Object.entries(value)) {
      look(name)
      forEachText(member, look)
    }
  }
}

function requireFew(count: number): void {
  if (count <= manifestDescriptorsMax) return
  throw new RegistryError('MANIFEST_INVALID', {
    message: `a manifest may refer to ${manifestDescriptorsMax} others at most`,
  })
}
