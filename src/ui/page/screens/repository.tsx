/**
 * @module One repository: its tags as a list of any length, what was deleted and can come back, and what
 * happened in it.
 */
import { type Signal, useSignal } from '@preact/signals'
import { useMemo } from 'preact/hooks'
import type { RepositoryRow, TagRow } from '../core/answers.ts'
import { get, part, post } from '../core/api.ts'
import { exact, relative, shortPlatform } from '../core/format.ts'
import { tagPages } from '../core/lists.ts'
import { useLoaded } from '../core/load.ts'
import type { Pages } from '../core/pages.ts'
import { go, route, setQuery, toImage, toRepository, toScreen } from '../core/router.ts'
import { isAdmin, may } from '../core/session.ts'
import { registryAddress } from '../core/settings.ts'
import { type Messages, texts } from '../messages/catalogue.ts'
import { showDialog } from '../parts/dialog.tsx'
import { Filter, sortingOf } from '../parts/filter.tsx'
import { say } from '../parts/notice.tsx'
import { Empty, Problem, Ready } from '../parts/states.tsx'
import { Tabs } from '../parts/tabs.tsx'
import { Copy, copyText, Digest, Size, Time } from '../parts/values.tsx'
import { type Column, WindowList } from '../parts/window-list.tsx'
import { EventList } from './activity.tsx'
import { DeleteRepository, DeleteTags } from './delete.tsx'
import { Verdict } from './image/verdict.tsx'

export function RepositoryScreen() {
  const t = texts.value
  const { repository, query } = route.value
  const tab = query.get('tab') ?? 'tags'
  const path = `admin/repositories/${part(repository)}`
  const info = useLoaded(repository, (stop) => get<RepositoryRow>(path, undefined, stop))
  const reference = `${registryAddress}/${repository}`
  return (
    <div class="screen">
      <div class="title">
        <h1 class="path">
          <a href={toScreen('repositories')}>{t.repositories}</a>
          <span aria-hidden="true"> / </span>
          {repository}
        </h1>
        <Copy text={reference} />
        {isAdmin() && (
          <button
            type="button"
            onClick={() =>
              showDialog(t.deleteRepository, () => <DeleteRepository repository={repository} />)
            }
          >
            {t.deleteRepository}…
          </button>
        )}
      </div>
      {info.error === undefined ? (
        <>
          <Sums of={info.value} />
          <Tabs
            label={repository}
            chosen={tab}
            onChoose={(id) => setQuery({ tab: id === 'tags' ? '' : id, q: '', sort: '' })}
            tabs={[
              { id: 'tags', title: t.tags, count: info.value?.tags },
              { id: 'deleted', title: t.deleted },
              { id: 'activity', title: t.activity },
            ]}
          />
          <div id="tab-panel" role="tabpanel" aria-labelledby={`tab-${tab}`} class="panel">
            {tab === 'tags' && <Tags repository={repository} onChange={info.reload} />}
            {tab === 'deleted' && <Deleted repository={repository} onChange={info.reload} />}
            {tab === 'activity' && <EventList filter={{ repository }} />}
          </div>
        </>
      ) : (
        <Problem error={info.error} retry={info.reload} />
      )}
    </div>
  )
}

function Sums({ of }: { readonly of: RepositoryRow | undefined }) {
  const t = texts.value
  if (of === undefined) return <p class="facts">…</p>
  return (
    <p class="facts">
      <span>{t.countTags(of.tags)}</span>
      <span>
        <Size bytes={of.logicalBytes} /> {t.inAll}
      </span>
      <span>
        <Size bytes={of.exclusiveBytes} /> {t.onlyHereWords}
      </span>
      <span>
        {t.pushed} <Time at={of.pushedAt} />
      </span>
    </p>
  )
}

/** Types of configurations that say no more than that it is an image. */
const IMAGE = /image\.(?:config|v1)\b|container\.image/

const columnsOf = (t: Messages, repository: string): readonly Column<TagRow>[] => [
  {
    id: 'tag',
    title: t.tag,
    width: 'minmax(0, 1.4fr)',
    sort: 'name',
    isMain: true,
    cell: ({ tag }) => (
      <span class="with-copy">
        <a href={toImage(repository, tag)} tabIndex={-1}>
          {tag}
        </a>
        <Copy text={`${registryAddress}/${repository}:${tag}`} />
      </span>
    ),
  },
  {
    id: 'platforms',
    title: t.platforms,
    width: 'minmax(0, 1fr)',
    cell: ({ platforms, artifactType, signature, pinned, expiresAt }) => (
      <span class="badges">
        {platforms?.map(shortPlatform).join(' ')}
        {artifactType !== undefined && !IMAGE.test(artifactType) && (
          <span class="cut dim">{artifactType}</span>
        )}
        {expiresAt !== undefined && (
          <span class="badge warn" title={exact(expiresAt)}>
            {t.ends(relative(expiresAt))}
          </span>
        )}
        {pinned && <span class="badge">{t.pinned}</span>}
        {signature !== undefined && <Verdict of={signature} />}
      </span>
    ),
  },
  {
    id: 'digest',
    title: t.digest,
    width: '110px',
    cell: ({ digest }) => <Digest of={digest} />,
  },
  {
    id: 'size',
    title: t.size,
    width: '84px',
    sort: 'size',
    isNumber: true,
    isMain: true,
    cell: ({ sizeBytes }) => <Size bytes={sizeBytes} />,
  },
  {
    id: 'pushed',
    title: t.pushed,
    width: '150px',
    sort: 'pushed',
    cell: ({ pushedAt, by }) => (
      <span class="cut">
        <Time at={pushedAt} />
        {by !== undefined && <span class="dim">, {by}</span>}
      </span>
    ),
  },
  {
    id: 'pulled',
    title: t.pulled,
    width: '120px',
    sort: 'pulled',
    cell: ({ pulledAt }) => <Time at={pulledAt} />,
  },
]

interface TagsProps {
  readonly repository: string
  readonly onChange: () => void
}

function Tags({ repository, onChange }: TagsProps) {
  const t = texts.value
  const { query } = route.value
  const q = query.get('q') ?? ''
  const sorting = sortingOf(query, '-pushed')
  const { sort } = sorting
  const picked = useSignal<ReadonlySet<string>>(new Set())
  const pages = useMemo(() => tagPages(repository, { q, sort }), [repository, q, sort])
  const columns = useMemo(() => columnsOf(t, repository), [t, repository])
  const mayDelete = may('delete', repository)
  const total = pages.total.value
  const changed = () => {
    picked.value = new Set()
    pages.reload()
    onChange()
  }
  return (
    <>
      <div class="tools">
        <Filter label={t.filterTags} value={q} />
        <span class="dim" role="status">
          {q !== '' && total !== undefined && t.countTags(total)}
        </span>
      </div>
      <WindowList
        label={`${t.tags} ${repository}`}
        columns={columns}
        pages={pages}
        keyOf={({ tag }) => tag}
        sorting={sorting}
        {...(mayDelete ? { picked } : {})}
        below={({ pushedAt, digest }) => (
          <>
            {relative(pushedAt)} · <Digest of={digest} />
          </>
        )}
        onOpen={({ tag }) => go(toImage(repository, tag))}
        onKey={(key, { tag }) => {
          if (key === 'c') copyText(`${registryAddress}/${repository}:${tag}`)
          if (key === 'e') go(toImage(repository, tag, { tab: 'why' }))
        }}
        empty={
          <Empty title={q === '' ? t.noTags : t.nothingFits(q)}>
            {q === '' ? (
              <a href={toRepository(repository, { tab: 'deleted' })}>{t.seeDeleted}</a>
            ) : (
              <a href={toRepository(repository)}>{t.showAll}</a>
            )}
          </Empty>
        }
      />
      {mayDelete && (
        <PickBar picked={picked} pages={pages} repository={repository} onDeleted={changed} />
      )}
    </>
  )
}

interface PickBarProps {
  readonly picked: Signal<ReadonlySet<string>>
  readonly pages: Pages<TagRow>
  readonly repository: string
  readonly onDeleted: () => void
}

/** Tags that one request may delete. */
const pickedMax = 1_000

function PickBar({ picked, pages, repository, onDeleted }: PickBarProps) {
  const t = texts.value
  const count = picked.value.size
  const total = pages.total.value ?? 0
  const pickAll = async () => {
    const { query } = route.peek()
    const found = await get<{ readonly tags: readonly TagRow[] }>(
      `admin/repositories/${part(repository)}/tags`,
      { q: query.get('q') ?? '', sort: query.get('sort') ?? '-pushed', limit: pickedMax },
    )
    picked.value = new Set(found.tags.map(({ tag }) => tag))
  }
  return (
    <div class="pick-bar" data-count={count}>
      <span role="status">{t.countPicked(count, total)}</span>
      {count < Math.min(total, pickedMax) && (
        <button type="button" onClick={pickAll}>
          {total > pickedMax ? t.pickFirst(pickedMax) : t.pickAll}
        </button>
      )}
      {count > 0 && (
        <>
          <button
            type="button"
            onClick={() => {
              picked.value = new Set()
            }}
          >
            {t.pickNone}
          </button>
          <button
            type="button"
            class="danger"
            disabled={count > pickedMax}
            onClick={() =>
              showDialog(t.deleteTags, () => (
                <DeleteTags repository={repository} tags={[...picked.peek()]} onDone={onDeleted} />
              ))
            }
          >
            {t.delete}…
          </button>
        </>
      )}
    </div>
  )
}

interface DeletedRow {
  readonly kind: 'tag' | 'manifest'
  readonly tag?: string
  readonly digest: string
  readonly deletedAt: string
  readonly by: string
  readonly why: string
}

function Deleted({ repository, onChange }: TagsProps) {
  const t = texts.value
  const path = `admin/repositories/${part(repository)}/deleted`
  const found = useLoaded(repository, (stop) =>
    get<{ readonly deleted: readonly DeletedRow[]; readonly next?: string }>(
      path,
      { limit: 500 },
      stop,
    ),
  )
  const restore = async ({ tag, digest }: DeletedRow) => {
    try {
      await post('admin/undelete', tag === undefined ? { repository, digest } : { repository, tag })
      say(t.undone)
      found.reload()
      onChange()
    } catch (error) {
      say(error instanceof Error ? error.message : String(error))
    }
  }
  const mayRestore = may('delete', repository) || may('push', repository)
  return (
    <Ready of={found}>
      {({ deleted, next }) =>
        deleted.length === 0 ? (
          <Empty title={t.nothingDeleted} />
        ) : (
          <div class="scroll" tabIndex={0} role="region" aria-label={t.deleted}>
            <table>
              <thead>
                <tr>
                  <th>{t.what}</th>
                  <th>{t.digest}</th>
                  <th>{t.deleted}</th>
                  <th>{t.by}</th>
                  <th>{t.why}</th>
                  <th>
                    <span class="off-screen">{t.action}</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {deleted.map((row) => (
                  <tr key={row.tag ?? row.digest}>
                    <td>{row.tag ?? t.image}</td>
                    <td>
                      <Digest of={row.digest} />
                    </td>
                    <td>
                      <Time at={row.deletedAt} />
                    </td>
                    <td>{row.by}</td>
                    <td class="dim">{row.why}</td>
                    <td class="right">
                      {mayRestore && (
                        <button type="button" onClick={() => restore(row)}>
                          {t.restore}
                        </button>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
            {next !== undefined && <p class="dim">{t.moreThan(deleted.length)}</p>}
          </div>
        )
      }
    </Ready>
  )
}
