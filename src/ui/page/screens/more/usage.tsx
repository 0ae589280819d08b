/**
 * @module What takes the space: the sums of the store, and the largest repositories with what only they
 * hold.
 */
import type { RepositoryRow, Usage } from '../../core/answers.ts'
import { get } from '../../core/api.ts'
import { number, size } from '../../core/format.ts'
import { useLoaded } from '../../core/load.ts'
import { toRepository } from '../../core/router.ts'
import { texts } from '../../messages/catalogue.ts'
import { Rows } from '../../parts/rows.tsx'
import { Ready } from '../../parts/states.tsx'
import { Size, Time } from '../../parts/values.tsx'

export function UsageScreen() {
  const t = texts.value
  const usage = useLoaded('usage', (stop) => get<Usage>('admin/usage', undefined, stop))
  const largest = useLoaded('largest', (stop) =>
    get<{ readonly repositories: readonly RepositoryRow[] }>(
      'admin/repositories',
      { sort: '-size', limit: 50 },
      stop,
    ),
  )
  return (
    <>
      <h1>{t.usage}</h1>
      <Ready of={usage}>
        {(it) => (
          <p class="facts">
            <span>
              {t.onDisk} <Size bytes={it.physicalBytes} />, {t.countBlobs(it.blobs)}
            </span>
            <span>
              {t.savedBySharing} <Size bytes={it.savedBytes} /> {t.ofAll(size(it.logicalBytes))}
            </span>
            <span>
              {t.inTrash} <Size bytes={it.trashBytes} />
            </span>
          </p>
        )}
      </Ready>
      <h2>{t.largest}</h2>
      <Ready of={largest}>{({ repositories }) => <Largest repositories={repositories} />}</Ready>
    </>
  )
}

function Largest({ repositories }: { readonly repositories: readonly RepositoryRow[] }) {
  const t = texts.value
  const most = Math.max(1, ...repositories.map(({ logicalBytes }) => logicalBytes))
  return (
    <Rows
      rows={repositories}
      keyOf={({ name }) => name}
      columns={[
        { title: t.repository, cell: ({ name }) => <a href={toRepository(name)}>{name}</a> },
        {
          title: t.share,
          cell: ({ logicalBytes, exclusiveBytes }) => (
            <svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
              <rect class="rest" width={(logicalBytes / most) * 100} height="10" />
              <rect width={(exclusiveBytes / most) * 100} height="10" />
            </svg>
          ),
        },
        {
          title: t.size,
          isNumber: true,
          cell: ({ logicalBytes }) => <Size bytes={logicalBytes} />,
        },
        {
          title: t.onlyHere,
          isNumber: true,
          cell: ({ exclusiveBytes }) => <Size bytes={exclusiveBytes} />,
        },
        { title: t.tags, isNumber: true, cell: ({ tags }) => number(tags) },
        { title: t.pulled, cell: ({ pulledAt }) => <Time at={pulledAt} /> },
      ]}
    />
  )
}
