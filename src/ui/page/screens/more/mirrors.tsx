/**
 * @module Mirrors: a card each, and how clients are connected.
 */
import { get, part } from '../../core/api.ts'
import { useLoaded } from '../../core/load.ts'
import { registryAddress } from '../../core/settings.ts'
import { texts } from '../../messages/catalogue.ts'
import { showDialog } from '../../parts/dialog.tsx'
import { Facts } from '../../parts/rows.tsx'
import { Empty, Ready } from '../../parts/states.tsx'
import { Copy } from '../../parts/values.tsx'

interface Mirror {
  readonly name: string
  readonly [field: string]: unknown
}

interface Snippet {
  readonly client: string
  readonly file: string
  readonly text: string
}

export function Mirrors() {
  const t = texts.value
  const found = useLoaded('mirrors', (stop) =>
    get<{ readonly mirrors: readonly Mirror[] }>('admin/mirrors', undefined, stop),
  )
  return (
    <>
      <h1>{t.mirrors}</h1>
      <Ready of={found}>
        {({ mirrors }) =>
          mirrors.length === 0 ? (
            <Empty title={t.noMirrors} />
          ) : (
            <div class="cards">
              {mirrors.map(({ name, ...rest }) => (
                <section key={name} class="card">
                  <div class="title">
                    <h2>{name}</h2>
                    <button
                      type="button"
                      onClick={() => showDialog(t.connect, () => <Clients mirror={name} />)}
                    >
                      {t.connect}…
                    </button>
                  </div>
                  <HitRatio of={rest} />
                  <Facts of={rest} isSparse={true} />
                </section>
              ))}
            </div>
          )
        }
      </Ready>
    </>
  )
}

/** How many answers needed no upstream; mirrors without a request have none. */
function HitRatio({ of }: { readonly of: Readonly<Record<string, unknown>> }) {
  const [hits, misses] = [Number(of['hits'] ?? 0), Number(of['misses'] ?? 0)]
  if (hits + misses === 0) return <p class="dim">{texts.value.notAsked}</p>
  return <p>{texts.value.hitRatio(Math.round((hits / (hits + misses)) * 100))}</p>
}

function Clients({ mirror }: { readonly mirror: string }) {
  const path = `admin/mirrors/${part(mirror)}/clients`
  const found = useLoaded(mirror, (stop) =>
    get<{ readonly clients: readonly Snippet[] }>(path, { address: registryAddress }, stop),
  )
  return (
    <div class="form">
      <Ready of={found}>
        {({ clients }) => (
          <>
            {clients.map(({ client, file, text }) => (
              <section key={client}>
                <h3>
                  {client} <code>{file}</code> <Copy text={text} label={client} />
                </h3>
                <pre tabIndex={0}>{text}</pre>
              </section>
            ))}
          </>
        )}
      </Ready>
    </div>
  )
}
