/**
 * @module Copies of other registries: each source, its last run, what failed, and what waits for a word.
 */
import { get, part, post } from '../../core/api.ts'
import { useLoaded } from '../../core/load.ts'
import { texts } from '../../messages/catalogue.ts'
import { showDialog } from '../../parts/dialog.tsx'
import { say } from '../../parts/notice.tsx'
import { Facts, Rows } from '../../parts/rows.tsx'
import { Empty, Ready } from '../../parts/states.tsx'
import { Time } from '../../parts/values.tsx'

interface Source {
  readonly name: string
  readonly url: string
  readonly mode: string
  readonly state: string
  readonly last_run?: string
  readonly last_result?: string
  readonly next_run?: string
}

export function Syncs() {
  const t = texts.value
  const found = useLoaded('sync', (stop) =>
    get<Readonly<Record<string, unknown>>>('admin/sync/jobs', undefined, stop),
  )
  const act = async (verb: string, name: string) => {
    try {
      await post(`admin/sync/${verb}/${part(name)}`)
      say(`${name}: ${verb}`)
    } catch (error) {
      say(error instanceof Error ? error.message : String(error))
    }
    found.reload()
  }
  return (
    <>
      <h1>{t.sync}</h1>
      <Ready of={found}>
        {(answer) => {
          const sources = sourcesOf(answer)
          if (sources.length === 0) return <Empty title={t.noSources} />
          return (
            <Rows
              rows={sources}
              keyOf={({ name }) => name}
              columns={[
                {
                  title: t.name,
                  cell: ({ name }) => (
                    <button
                      type="button"
                      class="link"
                      onClick={() => showDialog(name, () => <Status name={name} />)}
                    >
                      {name}
                    </button>
                  ),
                },
                { title: t.from, cell: ({ url }) => url },
                { title: t.state, cell: ({ state }) => state },
                {
                  title: t.lastRun,
                  cell: ({ last_run, last_result }) => (
                    <>
                      <Time at={last_run} /> {last_result}
                    </>
                  ),
                },
                { title: t.nextRun, cell: ({ next_run }) => <Time at={next_run} /> },
                {
                  title: '',
                  cell: ({ name, state }) => (
                    <span class="buttons">
                      <button type="button" onClick={() => act('trigger', name)}>
                        {t.runNow}
                      </button>
                      {state === 'paused' ? (
                        <button type="button" onClick={() => act('resume', name)}>
                          {t.resume}
                        </button>
                      ) : (
                        <button type="button" onClick={() => act('pause', name)}>
                          {t.pause}
                        </button>
                      )}
                    </span>
                  ),
                },
              ]}
            />
          )
        }}
      </Ready>
    </>
  )
}

/** The sources, in whichever field of the answer they are. */
function sourcesOf(answer: Readonly<Record<string, unknown>>): readonly Source[] {
  const lists = Object.values(answer).filter((value) => Array.isArray(value)) as unknown[][]
  return lists.flat().filter((one): one is Source => {
    return typeof (one as Partial<Source> | null)?.name === 'string'
  })
}

function Status({ name }: { readonly name: string }) {
  const found = useLoaded(name, (stop) =>
    get<Readonly<Record<string, unknown>>>(`admin/sync/status/${part(name)}`, undefined, stop),
  )
  return (
    <div class="form">
      <Ready of={found}>
        {({ Source: _source, Progress: _progress, ...rest }) => <Facts of={rest} />}
      </Ready>
    </div>
  )
}
