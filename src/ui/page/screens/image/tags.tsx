/**
 * @module The tags of an image and what they pointed at before; and why it stays, or when it goes.
 */
import type { Explained, Image, TagHistory } from '../../core/answers.ts'
import { get, part } from '../../core/api.ts'
import { useLoaded } from '../../core/load.ts'
import { toImage } from '../../core/router.ts'
import { may } from '../../core/session.ts'
import { moveTag, undoOperation } from '../../core/undo.ts'
import { texts } from '../../messages/catalogue.ts'
import { offerUndo, say } from '../../parts/notice.tsx'
import { Empty, Ready } from '../../parts/states.tsx'
import { Digest, Time } from '../../parts/values.tsx'

export function TagsAndPast({ image }: { readonly image: Image }) {
  const t = texts.value
  if (image.tags.length === 0) return <Empty title={t.noTags} />
  return (
    <>
      {image.tags.map((tag) => (
        <Past key={tag} repository={image.repository} tag={tag} />
      ))}
    </>
  )
}

function Past({ repository, tag }: { readonly repository: string; readonly tag: string }) {
  const t = texts.value
  const path = `admin/repositories/${part(repository)}/tags/${part(tag)}`
  const found = useLoaded(`${repository} ${tag}`, (stop) => get<TagHistory>(path, undefined, stop))
  const putBack = async (digest: string, ifDigest: string) => {
    try {
      const { operation } = await moveTag(repository, tag, { digest, ifDigest })
      found.reload()
      if (operation === undefined) return
      offerUndo({
        text: t.tagMoved(tag),
        undo: async () => {
          const words = await undoOperation(operation)
          found.reload()
          return words
        },
      })
    } catch (error) {
      say(error instanceof Error ? error.message : String(error))
    }
  }
  return (
    <section>
      <h2>
        <a href={toImage(repository, tag)}>{tag}</a>
      </h2>
      <Ready of={found}>
        {({ digest, pushedAt, by, previous }) => (
          <ol class="past">
            <li>
              <Digest of={digest} /> {t.now}, <Time at={pushedAt} />
              {by !== undefined && <span class="dim"> · {by}</span>}
            </li>
            {previous.map((one) => (
              <li key={`${one.digest} ${one.replacedAt}`}>
                <a href={toImage(repository, one.digest)}>
                  <Digest of={one.digest} />
                </a>{' '}
                {t.until} <Time at={one.replacedAt} />
                {one.by !== undefined && <span class="dim"> · {one.by}</span>}
                {one.digest !== digest && may('push', repository) && (
                  <button type="button" class="link" onClick={() => putBack(one.digest, digest)}>
                    {t.putBack}
                  </button>
                )}
              </li>
            ))}
          </ol>
        )}
      </Ready>
    </section>
  )
}

interface WhyProps {
  readonly image: Image
  readonly reference: string
}

export function Why({ image, reference }: WhyProps) {
  const t = texts.value
  const mark = reference.includes(':') ? '@' : ':'
  const of = `${image.repository}${mark}${reference}`
  const found = useLoaded(of, (stop) =>
    get<{ readonly verdicts: readonly Explained[] }>('admin/explain', { of }, stop),
  )
  return (
    <Ready of={found}>
      {({ verdicts }) =>
        verdicts.length === 0 ? (
          <Empty title={t.noVerdict} />
        ) : (
          <ul class="verdicts">
            {verdicts.map(({ kind, name, stays, rule, reason, goesAt }) => (
              <li key={`${kind} ${name}`}>
                <span class={`badge ${stays ? 'good' : 'warn'}`}>{stays ? t.stays : t.goes}</span>{' '}
                {kind === 'tag' ? <strong>{name}</strong> : <Digest of={name} />}: {reason}
                {rule !== undefined && <span class="dim"> · {rule}</span>}
                {goesAt !== undefined && (
                  <span>
                    {' '}
                    · <Time at={goesAt} />
                  </span>
                )}
              </li>
            ))}
          </ul>
        )
      }
    </Ready>
  )
}
