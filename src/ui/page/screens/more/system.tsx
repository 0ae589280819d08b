/**
 * @module The server itself: version, health of its parts, and what runs and ran.
 */
import type { Job } from '../../core/answers.ts'
import { get, part, post } from '../../core/api.ts'
import { number } from '../../core/format.ts'
import { useLoaded } from '../../core/load.ts'
import { texts } from '../../messages/catalogue.ts'
import { say } from '../../parts/notice.tsx'
import { Facts, Rows } from '../../parts/rows.tsx'
import { Empty, Ready } from '../../parts/states.tsx'
import { Time } from '../../parts/values.tsx'

export function System() {
  const t = texts.value
  const status = useLoaded('status', (stop) =>
    get<Readonly<Record<string, unknown>>>('admin/status', undefined, stop),
  )
  return (
    <>
      <h1>{t.system}</h1>
      <Ready of={status}>{(it) => <Facts of={it} />}</Ready>
      <Jobs />
    </>
  )
}

function Jobs() {
  const t = texts.value
  const found = useLoaded('jobs', (stop) =>
    get<{ readonly jobs: readonly Job[] }>('admin/jobs', { newest: true, limit: 50 }, stop),
  )
  const cancel = async (id: string) => {
    await post(`admin/jobs/${part(id)}/cancel`).catch((error: Error) => say(error.message))
    found.reload()
  }
  return (
    <section>
      <h2>{t.jobs}</h2>
      <Ready of={found}>
        {({ jobs }) =>
          jobs.length === 0 ? (
            <Empty title={t.noJobs} />
          ) : (
            <Rows
              rows={jobs}
              keyOf={({ id }) => id}
              columns={[
                { title: t.kind, cell: ({ kind }) => kind },
                { title: t.state, cell: ({ state, message }) => `${state} ${message ?? ''}` },
                { title: t.by, cell: ({ by }) => by },
                { title: t.begun, cell: ({ createdAt }) => <Time at={createdAt} /> },
                {
                  title: t.what,
                  cell: ({ counts = {} }) =>
                    Object.entries(counts)
                      .filter(([, count]) => count > 0)
                      .map(([name, count]) => `${number(count)} ${name}`)
                      .join(', '),
                },
                {
                  title: '',
                  cell: ({ id, state }) =>
                    state === 'running' && (
                      <button type="button" onClick={() => cancel(id)}>
                        {t.cancel}
                      </button>
                    ),
                },
              ]}
            />
          )
        }
      </Ready>
    </section>
  )
}
