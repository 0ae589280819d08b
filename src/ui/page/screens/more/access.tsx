/**
 * @module Who the caller is and by which rules the caller may do what; refusals and changes of the audit
 * trail where there is one.
 */
import { get } from '../../core/api.ts'
import { useLoaded } from '../../core/load.ts'
import { has, sessionOf } from '../../core/session.ts'
import { texts } from '../../messages/catalogue.ts'
import { Rows } from '../../parts/rows.tsx'
import { Empty, Ready } from '../../parts/states.tsx'
import { Time } from '../../parts/values.tsx'

interface Entry {
  readonly time: string
  readonly action: string
  readonly decision: string
  readonly user?: string
  readonly address?: string
  readonly repository?: string
  readonly reference?: string
  readonly rule?: number
  readonly reason?: string
  readonly requestId?: string
}

export function Access() {
  const t = texts.value
  const session = sessionOf()
  const rights = session?.rights ?? []
  return (
    <>
      <h1>{t.access}</h1>
      <p class="facts">
        <span>{session?.user ?? session?.kind}</span>
        {session !== undefined && session.groups.length > 0 && (
          <span>{t.groups(session.groups.join(', '))}</span>
        )}
      </p>
      <section>
        <h2>{t.yourRights}</h2>
        <Rows
          rows={rights.map((right, index) => ({ ...right, index }))}
          keyOf={({ index }) => String(index)}
          columns={[
            { title: '#', isNumber: true, cell: ({ index }) => index + 1 },
            { title: t.repositories, cell: ({ repositories }) => repositories.join(', ') },
            { title: t.action, cell: ({ actions }) => actions.join(', ') || t.nothing },
          ]}
        />
      </section>
      {has('audit') && <Audit />}
    </>
  )
}

function Audit() {
  const t = texts.value
  const found = useLoaded('audit', (stop) =>
    get<{ readonly entries?: readonly Entry[] }>('admin/audit', { limit: 100 }, stop),
  )
  return (
    <section>
      <h2>{t.audit}</h2>
      <Ready of={found}>
        {({ entries = [] }) =>
          entries.length === 0 ? (
            <Empty title={t.nothingHappened} />
          ) : (
            <Rows
              rows={entries}
              keyOf={(it) => `${it.time} ${it.requestId} ${it.action} ${it.reference}`}
              columns={[
                { title: t.what, cell: ({ time }) => <Time at={time} /> },
                { title: t.by, cell: ({ user, address }) => `${user ?? ''} ${address ?? ''}` },
                { title: t.action, cell: ({ action }) => action },
                {
                  title: t.repository,
                  cell: ({ repository = '', reference = '' }) => `${repository} ${reference}`,
                },
                {
                  title: t.state,
                  cell: ({ decision, reason }) => (
                    <>
                      <span class={`badge ${decision === 'done' ? 'good' : 'warn'}`}>
                        {decision}
                      </span>{' '}
                      {reason}
                    </>
                  ),
                },
                { title: t.requestId, cell: ({ requestId }) => <code>{requestId}</code> },
              ]}
            />
          )
        }
      </Ready>
    </section>
  )
}
