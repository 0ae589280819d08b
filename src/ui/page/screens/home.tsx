/**
 * @module The first screen: what needs a look, the figures, what was pushed last, what happened. In an
 * empty registry: how the first push goes.
 */
import type { ComponentChildren } from 'preact'
import type { Job, RepositoryRow, Usage } from '../core/answers.ts'
import { get } from '../core/api.ts'
import { number, size } from '../core/format.ts'
import { useLoaded } from '../core/load.ts'
import { toRepository, toScreen } from '../core/router.ts'
import { isAdmin, sessionOf } from '../core/session.ts'
import { texts } from '../messages/catalogue.ts'
import { Ready } from '../parts/states.tsx'
import { Size, Time } from '../parts/values.tsx'
import { EventList } from './activity.tsx'
import { FirstPush } from './first-push.tsx'

interface RepositoryList {
  readonly repositories: readonly RepositoryRow[]
  readonly total?: number
}

export function Home() {
  const t = texts.value
  const recent = useLoaded('recent', (stop) =>
    get<RepositoryList>('admin/repositories', { sort: '-pushed', limit: 8 }, stop),
  )
  return (
    <div class="screen scroll-all">
      <h1 class="off-screen">{t.home}</h1>
      {sessionOf()?.kind === 'open' && (
        <p class="banner">
          <strong>{t.openRegistry}.</strong> {t.openRegistryWhy}
        </p>
      )}
      <Ready of={recent}>
        {({ repositories, total }) =>
          repositories.length === 0 ? (
            <FirstPush />
          ) : (
            <>
              {isAdmin() && <Figures repositories={total ?? repositories.length} />}
              <div class="halves">
                <section>
                  <h2>{t.lastPushed}</h2>
                  <Recent repositories={repositories} />
                  <p>
                    <a href={toScreen('repositories')}>{t.toRepositories}</a>
                  </p>
                </section>
                <section>
                  <h2>{t.activity}</h2>
                  <EventList filter={{}} first={10} />
                </section>
              </div>
            </>
          )
        }
      </Ready>
    </div>
  )
}

function Recent({ repositories }: { readonly repositories: readonly RepositoryRow[] }) {
  const t = texts.value
  return (
    <table>
      <thead>
        <tr>
          <th>{t.repository}</th>
          <th class="right">{t.tags}</th>
          <th class="right">{t.size}</th>
          <th class="right">{t.pushed}</th>
        </tr>
      </thead>
      <tbody>
        {repositories.map(({ name, tags, logicalBytes, pushedAt }) => (
          <tr key={name}>
            <td class="name">
              <a href={toRepository(name)}>{name}</a>
            </td>
            <td class="right number">{number(tags)}</td>
            <td class="right">
              <Size bytes={logicalBytes} />
            </td>
            <td class="right">
              <Time at={pushedAt} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function Tile({
  title,
  value,
  children,
}: {
  readonly title: string
  readonly value: string
  readonly children?: ComponentChildren
}) {
  return (
    <div class="tile">
      <dt>{title}</dt>
      <dd>
        <strong>{value}</strong>
        <span class="dim">{children}</span>
      </dd>
    </div>
  )
}

function Figures({ repositories }: { readonly repositories: number }) {
  const t = texts.value
  const usage = useLoaded('usage', (stop) => get<Usage>('admin/usage', undefined, stop))
  const jobs = useLoaded('jobs', (stop) =>
    get<{ readonly jobs: readonly Job[] }>('admin/jobs', { newest: true, limit: 20 }, stop),
  )
  const running = jobs.value?.jobs.filter(({ state }) => state === 'running') ?? []
  const it = usage.value
  return (
    <dl class="tiles">
      <Tile title={t.repositories} value={number(repositories)} />
      <Tile title={t.onDisk} value={it === undefined ? '…' : size(it.physicalBytes)}>
        {it !== undefined && t.countBlobs(it.blobs)}
      </Tile>
      <Tile title={t.savedBySharing} value={it === undefined ? '…' : size(it.savedBytes)}>
        {it !== undefined && t.ofAll(size(it.logicalBytes))}
      </Tile>
      <Tile title={t.inTrash} value={it === undefined ? '…' : size(it.trashBytes)}>
        {it !== undefined && t.countBlobs(it.trashBlobs)}
      </Tile>
      <Tile title={t.runningJobs} value={jobs.value === undefined ? '…' : number(running.length)}>
        {running.map(({ kind }) => kind).join(', ')}
      </Tile>
    </dl>
  )
}
