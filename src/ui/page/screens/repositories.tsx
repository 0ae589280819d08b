/**
 * @module All repositories that the caller may see, sorted and filtered by the server.
 */
import { useMemo } from 'preact/hooks'
import type { RepositoryRow } from '../core/answers.ts'
import { number, relative, size } from '../core/format.ts'
import { repositoryPages } from '../core/lists.ts'
import { go, route, toRepository, toScreen } from '../core/router.ts'
import { registryAddress } from '../core/settings.ts'
import { type Messages, texts } from '../messages/catalogue.ts'
import { Filter, sortingOf } from '../parts/filter.tsx'
import { Empty } from '../parts/states.tsx'
import { Copy, copyText, Size, Time } from '../parts/values.tsx'
import { type Column, WindowList } from '../parts/window-list.tsx'
import { FirstPush } from './first-push.tsx'

const columnsOf = (t: Messages): readonly Column<RepositoryRow>[] => [
  {
    id: 'name',
    title: t.name,
    width: 'minmax(0, 1fr)',
    sort: 'name',
    isMain: true,
    cell: ({ name }) => (
      <span class="with-copy">
        <a href={toRepository(name)} tabIndex={-1}>
          {name}
        </a>
        <Copy text={`${registryAddress}/${name}`} />
      </span>
    ),
  },
  {
    id: 'tags',
    title: t.tags,
    width: '80px',
    isNumber: true,
    cell: ({ tags }) => <span class="number">{number(tags)}</span>,
  },
  {
    id: 'size',
    title: t.size,
    width: '90px',
    sort: 'size',
    isNumber: true,
    isMain: true,
    cell: ({ logicalBytes }) => <Size bytes={logicalBytes} />,
  },
  {
    id: 'own',
    title: t.onlyHere,
    width: '100px',
    isNumber: true,
    cell: ({ exclusiveBytes }) => <Size bytes={exclusiveBytes} />,
  },
  {
    id: 'pushed',
    title: t.pushed,
    width: '130px',
    sort: 'pushed',
    cell: ({ pushedAt }) => <Time at={pushedAt} />,
  },
  {
    id: 'pulled',
    title: t.pulled,
    width: '130px',
    sort: 'pulled',
    cell: ({ pulledAt }) => <Time at={pulledAt} />,
  },
]

export function Repositories() {
  const t = texts.value
  const { query } = route.value
  const q = query.get('q') ?? ''
  const sorting = sortingOf(query, 'name')
  const { sort } = sorting
  const pages = useMemo(() => repositoryPages({ q, sort }), [q, sort])
  const columns = useMemo(() => columnsOf(t), [t])
  const total = pages.total.value
  return (
    <div class="screen">
      <div class="title">
        <h1>{t.repositories}</h1>
        <span class="dim" role="status">
          {total !== undefined && t.countRepositories(total)}
        </span>
        <Filter label={t.filterNames} value={q} />
      </div>
      <WindowList
        label={t.repositories}
        columns={columns}
        pages={pages}
        keyOf={({ name }) => name}
        sorting={sorting}
        below={({ tags, pushedAt, logicalBytes }) =>
          `${t.countTags(tags)} · ${pushedAt === undefined ? size(logicalBytes) : relative(pushedAt)}`
        }
        onOpen={({ name }) => go(toRepository(name))}
        onKey={(key, { name }) => {
          if (key === 'c') copyText(`${registryAddress}/${name}`)
        }}
        empty={
          q === '' ? (
            <FirstPush />
          ) : (
            <Empty title={t.nothingFits(q)}>
              <a href={toScreen('repositories')}>{t.showAll}</a>
            </Empty>
          )
        }
      />
    </div>
  )
}
