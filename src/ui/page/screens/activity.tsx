/**
 * @module What happened, newest first, as it happens: who moved what. New events wait behind a chip, so
 * nothing moves under the pointer. Deletions can be taken back from here.
 */
import { useEffect, useState } from 'preact/hooks'
import type { EventPage, RegistryEvent } from '../core/answers.ts'
import { get, urlOf } from '../core/api.ts'
import { exact, relative } from '../core/format.ts'
import { useLoaded } from '../core/load.ts'
import { route, setQuery, toImage, toRepository } from '../core/router.ts'
import { may } from '../core/session.ts'
import { canUndo, undoEvent } from '../core/undo.ts'
import { type Messages, texts } from '../messages/catalogue.ts'
import { Filter } from '../parts/filter.tsx'
import { say } from '../parts/notice.tsx'
import { Empty, Ready } from '../parts/states.tsx'
import { Digest } from '../parts/values.tsx'

const FILTERS = ['repository', 'action', 'by'] as const

export function Activity() {
  const t = texts.value
  const { query } = route.value
  const filter = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? '']))
  return (
    <div class="screen">
      <div class="title">
        <h1>{t.activity}</h1>
        <Filter name="repository" label={t.repository} value={filter['repository']!} />
        <Filter name="by" label={t.by} value={filter['by']!} />
        <select
          class="filter"
          aria-label={t.action}
          value={filter['action']}
          onChange={(event) => setQuery({ action: event.currentTarget.value })}
        >
          <option value="">{t.allActions}</option>
          {Object.entries(t.actions).map(([action, words]) => (
            <option key={action} value={action} selected={action === filter['action']}>
              {words}
            </option>
          ))}
        </select>
      </div>
      <EventList filter={filter} />
    </div>
  )
}

/** Steps of a push, which are read only by those who ask for them. */
const BESIDE: ReadonlySet<string> = new Set(['push-blob', 'mount'])

/** As many as have enough others among them, for usual images. */
const asked = (limit: number) => Math.min(1_000, limit * 5)

/** Events of one page. */
const shownAtFirst = 50

interface EventListProps {
  readonly filter: Readonly<Record<string, string>>
  /** How many are shown before the reader asks for more. */
  readonly first?: number
}

export function EventList({ filter, first = shownAtFirst }: EventListProps) {
  const t = texts.value
  const [limit, setLimit] = useState(first)
  const key = JSON.stringify([filter, limit])
  const found = useLoaded(key, (stop) =>
    get<EventPage>('admin/events', { ...filter, order: 'desc', limit: asked(limit) }, stop),
  )
  const isChosen = (filter['action'] ?? '') !== ''
  const shownOf = (all: readonly RegistryEvent[]) =>
    all.filter(({ action }) => isChosen || !BESIDE.has(action)).slice(0, limit)
  const last = found.value?.last
  const fresh = useNewEvents(filter, last)
  return (
    <Ready of={found}>
      {({ events, next }) => (
        <div class="events" aria-busy={found.isLoading}>
          {fresh > 0 && (
            <p class="chip-line">
              <button type="button" class="chip" onClick={found.reload}>
                {t.countNew(fresh)}
              </button>
            </p>
          )}
          {shownOf(events).length === 0 ? (
            <Empty title={t.nothingHappened} />
          ) : (
            <ol class="event-list">
              {shownOf(events).map((event) => (
                <EventRow key={event.id} event={event} onUndone={found.reload} />
              ))}
            </ol>
          )}
          {(next !== undefined || shownOf(events).length === limit) && limit < 1_000 && (
            <p>
              <button type="button" onClick={() => setLimit(Math.min(1_000, limit * 2))}>
                {t.more}
              </button>
            </p>
          )}
        </div>
      )}
    </Ready>
  )
}

/** How many events came since: by a stream that is open only while the page is in sight. */
function useNewEvents(filter: Readonly<Record<string, string>>, last: number | undefined): number {
  const [count, setCount] = useState(0)
  const key = JSON.stringify(filter)
  useEffect(() => {
    setCount(0)
    if (last === undefined) return
    let after = last
    let stream: EventSource | undefined
    const open = () => {
      stream?.close()
      stream = undefined
      if (document.hidden) return
      stream = new EventSource(urlOf('admin/events/stream', { ...filter, after }))
      const onEvent = (event: MessageEvent) => {
        after = Math.max(after, Number(event.lastEventId) || after)
        setCount((it) => it + 1)
      }
      stream.onmessage = onEvent
      for (const action of Object.keys(texts.peek().actions)) {
        stream.addEventListener(action, onEvent)
      }
      // A browser asks again by itself; one that was refused does not.
    }
    open()
    document.addEventListener('visibilitychange', open)
    return () => {
      stream?.close()
      document.removeEventListener('visibilitychange', open)
    }
  }, [key, last])
  return count
}

function EventRow({
  event,
  onUndone,
}: {
  readonly event: RegistryEvent
  readonly onUndone: () => void
}) {
  const t = texts.value
  const [isBusy, setBusy] = useState(false)
  const { at, action, repository, by, tag, digest, from, why } = event
  const undo = async () => {
    setBusy(true)
    try {
      say(await undoEvent(event))
      onUndone()
    } catch (error) {
      say(t.undoFailed(error instanceof Error ? error.message : String(error)))
    }
    setBusy(false)
  }
  return (
    <li>
      <time dateTime={at} title={exact(at)}>
        {relative(at)}
      </time>
      <span class={`dot ${kindOf(action)}`} aria-hidden="true" />
      <span class="what">
        <strong>{by}</strong> {actionWords(t, action)}{' '}
        {repository !== '' &&
          ((tag === undefined && digest === undefined) || BESIDE.has(action) ? (
            <a href={toRepository(repository)}>{repository}</a>
          ) : (
            <a href={toImage(repository, tag ?? digest!)}>
              {repository}
              {tag === undefined ? '' : `:${tag}`}
            </a>
          ))}{' '}
        {digest !== undefined && <Digest of={digest} />}
        {from !== undefined && (
          <span class="dim">
            {' '}
            {t.from} {from.includes(':') ? <Digest of={from} /> : from}
          </span>
        )}
        {why !== undefined && <span class="dim"> · {why}</span>}
      </span>
      {canUndo(event) && may('delete', repository) && (
        <button type="button" disabled={isBusy} onClick={undo}>
          {t.undo}
        </button>
      )}
    </li>
  )
}

export function actionWords(t: Messages, action: string): string {
  return Object.hasOwn(t.actions, action) ? t.actions[action as keyof typeof t.actions] : action
}

function kindOf(action: string): string {
  if (action.startsWith('delete') || action === 'expire') return 'bad'
  return action.startsWith('undelete') || action === 'push' ? 'good' : 'plain'
}
