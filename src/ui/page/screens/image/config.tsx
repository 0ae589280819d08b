/**
 * @module The configuration of an image as a table, and the manifest as it is stored. All of it comes from
 * others, and is shown as text.
 */
import type { Image } from '../../core/answers.ts'
import { get, part } from '../../core/api.ts'
import { visible } from '../../core/format.ts'
import { useLoaded } from '../../core/load.ts'
import { texts } from '../../messages/catalogue.ts'
import { Empty, Ready } from '../../parts/states.tsx'
import { Copy } from '../../parts/values.tsx'

/** Characters of one value that are drawn; the whole is in the raw form. */
const drawnMax = 4_000

export function Config({ image }: { readonly image: Image }) {
  const t = texts.value
  const { labels = {}, annotations = {}, settings = {} } = image
  const groups: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    [t.settings, settings],
    [t.labels, labels],
    [t.annotations, annotations],
  ]
  const shown = groups.filter(([, values]) => Object.keys(values).length > 0)
  if (shown.length === 0) return <Empty title={t.noConfig} />
  return (
    <>
      {shown.map(([title, values]) => (
        <section key={title}>
          <h2>{title}</h2>
          <table class="pairs">
            <tbody>
              {Object.entries(values).map(([key, value]) => (
                <tr key={key}>
                  <th scope="row">{visible(key)}</th>
                  <td>
                    <Value of={value} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      ))}
    </>
  )
}

function Value({ of }: { readonly of: unknown }) {
  const text = visible(typeof of === 'string' ? of : (JSON.stringify(of) ?? ''))
  return (
    <code dir="ltr">
      {text.length > drawnMax ? `${text.slice(0, drawnMax)} … (${text.length})` : text}
    </code>
  )
}

/** Characters of a manifest that are drawn. */
const rawMax = 200_000

export function Raw({ image }: { readonly image: Image }) {
  const t = texts.value
  const path = `admin/repositories/${part(image.repository)}/manifests/${part(image.digest)}/raw`
  const found = useLoaded(image.digest, (stop) => get<unknown>(path, undefined, stop))
  return (
    <Ready of={found}>
      {(manifest) => {
        const text = JSON.stringify(manifest, undefined, 2) ?? ''
        return (
          <>
            <p>
              <code>{image.digest}</code> <Copy text={text} label={t.copyManifest} />
            </p>
            <pre>{text.slice(0, rawMax)}</pre>
          </>
        )
      }}
    </Ready>
  )
}
