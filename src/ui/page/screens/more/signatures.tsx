/**
 * @module Signatures over all repositories: what policies would have refused, and what is revoked.
 */
import { get } from '../../core/api.ts'
import { useLoaded } from '../../core/load.ts'
import { toImage } from '../../core/router.ts'
import { texts } from '../../messages/catalogue.ts'
import { Rows } from '../../parts/rows.tsx'
import { Empty, Ready } from '../../parts/states.tsx'
import { Digest, Time } from '../../parts/values.tsx'

interface Violation {
  readonly repository: string
  readonly tag: string
  readonly digest: string
  readonly at: string
  readonly by: string
  readonly message: string
}

interface Revoked {
  readonly digest: string
  readonly reason: string
  readonly by?: string
  readonly at?: string
  readonly configured: boolean
}

export function Signatures() {
  const t = texts.value
  const violations = useLoaded('violations', (stop) =>
    get<{ readonly violations: readonly Violation[] }>(
      'admin/signatures/violations',
      { limit: 200 },
      stop,
    ),
  )
  const revoked = useLoaded('revoked', (stop) =>
    get<{ readonly revoked: readonly Revoked[] }>('admin/signatures/revoked', { limit: 200 }, stop),
  )
  return (
    <>
      <h1>{t.signatures}</h1>
      <section>
        <h2>{t.violations}</h2>
        <Ready of={violations}>
          {({ violations: rows }) =>
            rows.length === 0 ? (
              <Empty title={t.noViolations} />
            ) : (
              <Rows
                rows={rows}
                keyOf={(it) => `${it.at} ${it.repository} ${it.tag}`}
                columns={[
                  {
                    title: t.image,
                    cell: ({ repository, tag }) => (
                      <a href={toImage(repository, tag)}>{`${repository}:${tag}`}</a>
                    ),
                  },
                  { title: t.digest, cell: ({ digest }) => <Digest of={digest} /> },
                  { title: t.pushed, cell: ({ at }) => <Time at={at} /> },
                  { title: t.by, cell: ({ by }) => by },
                  { title: t.why, cell: ({ message }) => message },
                ]}
              />
            )
          }
        </Ready>
      </section>
      <section>
        <h2>{t.revoked}</h2>
        <Ready of={revoked}>
          {({ revoked: rows }) =>
            rows.length === 0 ? (
              <Empty title={t.noRevoked} />
            ) : (
              <Rows
                rows={rows}
                keyOf={({ digest }) => digest}
                columns={[
                  { title: t.digest, cell: ({ digest }) => <Digest of={digest} /> },
                  { title: t.why, cell: ({ reason }) => reason },
                  {
                    title: t.by,
                    cell: ({ by, configured }) => by ?? (configured ? t.byConfig : ''),
                  },
                  { title: t.what, cell: ({ at }) => <Time at={at} /> },
                ]}
              />
            )
          }
        </Ready>
      </section>
    </>
  )
}
