/**
 * @module What the syncs remember: runs, repositories, tags and the state of each source. What only says how
 * far a run is may be written a second late; what a tag's move rests on is written with the move.
 */
import { LeadLost } from '../jobs/leads.ts'
import { recordEvent } from '../metadata/edits.ts'
import type { MetadataReader, MetadataStore } from '../metadata/port.ts'
import { commitRetrying } from '../metadata/retry.ts'
import type {
  SyncRepositoryRow,
  SyncRunRow,
  SyncStateRow,
  SyncTagRow,
} from '../metadata/rows/upstream.ts'
import { keyPages } from '../metadata/scan.ts'
import type { Databases, EventRow, Timestamp } from '../metadata/schema.ts'
import type { Change } from '../metadata/transaction.ts'

/** Longest time that a note waits to be written, ms; and most of them that wait. */
const flushMs = 1_000
const waitingMax = 1_000

/** Notes written in one transaction. */
const notesAtOnce = 200

/** Longest sentence of an event, characters. */
const whyMax = 300

/** Runs of one source that are kept. */
const runsMax = 100

type Noted = 'syncRepositories' | 'syncTags'
type Note = { [N in Noted]: Extract<Change, { change: 'put' | 'delete'; in: N }> }[Noted]

/** Which tag of which source. */
export interface TagOfSource {
  readonly source: string
  /** Upstream's name of its repository. */
  readonly repository: string
  readonly tag: string
}

/** Who writes for a source, in the history and in the rows of tags. */
export function writerOf(source: string): string {
  return `sync:${source}`
}

/** Whether the source has written it, under the name that it has or under one that it had. */
export function isWriterOf(
  metadata: MetadataReader,
  source: string,
  by: string | undefined,
): boolean {
  if (by === writerOf(source)) return true
  const { formerly = [] } = metadata.get('syncStates', source) ?? {}
  return formerly.some((name) => by === writerOf(name))
}

export class SyncJournal {
  readonly #metadata: MetadataStore
  readonly #storeOf: ((source: string) => MetadataStore) | undefined
  readonly #waiting = new Map<string, Note>()
  #timer: NodeJS.Timeout | undefined
  #flushing: Promise<void> | undefined
  #failure: unknown

  /** `storeOf`: through which what is known of a source is written; undefined: through the store itself. */
  constructor(metadata: MetadataStore, storeOf?: (source: string) => MetadataStore) {
    this.#metadata = metadata
    this.#storeOf = storeOf
  }

  /** What is known of a tag, with what is not written yet. */
  tag({ source, repository, tag }: TagOfSource): SyncTagRow | undefined {
    return this.#read('syncTags', [source, repository, tag])
  }

  repository(source: string, repository: string): SyncRepositoryRow | undefined {
    return this.#read('syncRepositories', [source, repository])
  }

  state(source: string): SyncStateRow | undefined {
    return this.#metadata.get('syncStates', source)
  }

  /** Notes what a tag came to. Resolves when there is room for more notes; throws when none can be written. */
  noteTag({ source, repository, tag }: TagOfSource, row: SyncTagRow | undefined): Promise<void> {
    const key = [source, repository, tag] as const
    return this.#note(
      row === undefined
        ? { change: 'delete', in: 'syncTags', key }
        : { change: 'put', in: 'syncTags', key, row: ordered(row) },
    )
  }

  noteRepository(
    source: string,
    repository: string,
    row: SyncRepositoryRow | undefined,
  ): Promise<void> {
    const key = [source, repository] as const
    return this.#note(
      row === undefined
        ? { change: 'delete', in: 'syncRepositories', key }
        : { change: 'put', in: 'syncRepositories', key, row },
    )
  }

  /** Resolves when no note of the tag waits: one that did would be written over the row of the move that follows. */
  async settle({ source, repository, tag }: TagOfSource): Promise<void> {
    if (this.#waiting.has(textOf('syncTags', [source, repository, tag]))) await this.flush()
  }

  /**
   * The row of a tag as a change, for the transaction that moves the tag. `written` is called once that is
   * applied: an older note of the tag is dropped.
   */
  withMove(it: TagOfSource, row: SyncTagRow): { readonly change: Change; written(): void } {
    return this.#with(it, row)
  }

  /** The same for the transaction that deletes the tag: nothing is known of it afterwards. */
  withDelete(it: TagOfSource): { readonly change: Change; written(): void } {
    return this.#with(it, undefined)
  }

  #with({ source, repository, tag }: TagOfSource, row: SyncTagRow | undefined) {
    const key = [source, repository, tag] as const
    const text = textOf('syncTags', key)
    const before = this.#waiting.get(text)
    const change: Change =
      row === undefined
        ? { change: 'delete', in: 'syncTags', key }
        : { change: 'put', in: 'syncTags', key, row: ordered(row) }
    const written = () => {
      if (this.#waiting.get(text) === before) this.#waiting.delete(text)
    }
    return { change, written }
  }

  /** Every tag of a repository of a source that the journal knows, some a turn, without what waits. */
  async *tags(
    source: string,
    repository: string,
  ): AsyncGenerator<{ readonly tag: string; readonly row: SyncTagRow }> {
    await this.flush()
    yield* this.storedTags(source, repository)
  }

  /** The same as far as it is written: what was noted a moment ago may lack. */
  async *storedTags(
    source: string,
    repository: string,
  ): AsyncGenerator<{ readonly tag: string; readonly row: SyncTagRow }> {
    for await (const keys of keyPages(this.#metadata, 'syncTags', [source, repository])) {
      for (const key of keys) {
        const row = this.#metadata.get('syncTags', key)
        if (row !== undefined) yield { tag: key[2], row }
      }
    }
  }

  /** Every repository of a source that the journal knows. */
  async *repositories(
    source: string,
  ): AsyncGenerator<{ readonly repository: string; readonly row: SyncRepositoryRow }> {
    await this.flush()
    for await (const keys of keyPages(this.#metadata, 'syncRepositories', [source])) {
      for (const key of keys) {
        const row = this.#metadata.get('syncRepositories', key)
        if (row !== undefined) yield { repository: key[1], row }
      }
    }
  }

  /** On disk when it resolves. */
  async putState(source: string, row: SyncStateRow): Promise<void> {
    await this.#commit(source, [{ change: 'put', in: 'syncStates', key: source, row }])
  }

  /** Changes what stands there, also when others change it meanwhile; what it is then. On disk when it resolves. */
  async changeState(
    source: string,
    change: (row: SyncStateRow) => SyncStateRow,
  ): Promise<SyncStateRow> {
    let row: SyncStateRow
    await commitRetrying(this.#of(source), () => {
      const before = this.state(source)
      row = change(before ?? { isPaused: false, hasTick: false })
      const here = { in: 'syncStates', key: source } as const
      return {
        checks: [
          before === undefined
            ? { check: 'absent', ...here }
            : { check: 'unchanged', ...here, row: before },
        ],
        changes: [{ change: 'put', ...here, row }],
      }
    })
    return row!
  }

  /** Writes a run, begun or ended, and drops the oldest of its source. On disk when it resolves. */
  async putRun(source: string, row: SyncRunRow): Promise<void> {
    const key = [source, runKey(row.startedAt)] as const
    const keys = this.#metadata.keysBackward('syncRuns', [source], undefined, runsMax + 10)
    const others = keys.filter(([, run]) => run !== key[1]).slice(runsMax - 1)
    await this.#commit(source, [
      { change: 'put', in: 'syncRuns', key, row },
      ...others.map((it): Change => ({ change: 'delete', in: 'syncRuns', key: it })),
    ])
  }

  /** A run that a crash ended has no end of its own. On disk when it resolves. */
  async closeLast(source: string, now: Timestamp): Promise<void> {
    const [last] = this.runs(source, 1)
    if (last === undefined || last.endedAt !== undefined) return
    const message = 'the server stopped before the run ended'
    const endedAt = Math.max(last.startedAt, now)
    await this.putRun(source, { ...last, endedAt, result: 'cancelled', message })
  }

  /** Writes into the history what a run began or came to. On disk when it resolves. */
  async record(
    source: string,
    event: Pick<EventRow, 'action' | 'by' | 'at'>,
    why?: string,
  ): Promise<void> {
    const said = `${source}${why === undefined ? '' : `: ${why}`}`
    await this.#commit(source, [
      recordEvent({ ...event, repository: '', why: said.slice(0, whyMax) }),
    ])
  }

  /** The last runs of a source, the newest first; `limit` is at most 100. */
  runs(source: string, limit = runsMax): SyncRunRow[] {
    const count = Math.min(limit, runsMax)
    return this.#metadata
      .entriesBackward('syncRuns', [source], undefined, count)
      .map(({ row }) => row)
  }

  /** Everything that was noted is on disk when it resolves. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    // Who is at it already may have begun before the last note.
    await this.#flushing?.catch(() => undefined)
    this.#flushing ??= this.#write().finally(() => {
      this.#flushing = undefined
    })
    await this.#flushing
  }

  async #note(note: Note): Promise<void> {
    this.#waiting.set(textOf(note.in, note.key), note)
    if (this.#waiting.size >= waitingMax) return this.flush()
    if (this.#failure !== undefined) {
      const failure = this.#failure
      this.#failure = undefined
      throw failure
    }
    this.#timer ??= setTimeout(() => {
      // The next note hears of it: nobody waits for this one.
      this.flush().catch((error: unknown) => {
        this.#failure = error
      })
    }, flushMs).unref()
  }

  async #write(): Promise<void> {
    while (this.#waiting.size > 0) {
      const some = this.#nextNotes()
      try {
        await this.#commit(
          some[0]![1].key[0],
          some.map(([, note]) => note),
        )
      } catch (error) {
        // The run that noted it may not any more: it hears so by itself.
        if (!(error instanceof LeadLost)) throw error
      }
      // One that was noted again meanwhile waits for the next.
      for (const [text, note] of some) {
        if (this.#waiting.get(text) === note) this.#waiting.delete(text)
      }
    }
  }

  /** Of one source, where each has its own way to be written. */
  #nextNotes(): (readonly [string, Note])[] {
    const all = [...this.#waiting]
    if (this.#storeOf === undefined) return all.slice(0, notesAtOnce)
    const source = all[0]![1].key[0]
    return all.filter(([, { key }]) => key[0] === source).slice(0, notesAtOnce)
  }

  #of(source: string): MetadataStore {
    return this.#storeOf === undefined ? this.#metadata : this.#storeOf(source)
  }

  async #commit(source: string, changes: readonly Change[]): Promise<void> {
    await this.#of(source).commit({ checks: [], changes })
  }

  #read<N extends Noted>(table: N, key: Databases[N]['key']): Databases[N]['row'] | undefined {
    const note = this.#waiting.get(textOf(table, key))
    if (note === undefined) return this.#metadata.get(table, key)
    return note.change === 'put' ? (note.row as Databases[N]['row']) : undefined
  }
}

function textOf(table: Noted, key: readonly string[]): string {
  return JSON.stringify([table, key])
}

/** Sorts by time in byte order. */
function runKey(startedAt: Timestamp): string {
  return String(startedAt).padStart(15, '0')
}

/** Fields in the order in which most rows have them: then they are stored without their names. */
function ordered(row: SyncTagRow): SyncTagRow {
  const { local, outcome, at, attempts, upstream, wrote, pushedAt, referrersCheckedAt } = row
  const { reason, message, nextRetryAt, isSparse, missing } = row
  return {
    local,
    outcome,
    at,
    attempts,
    ...(upstream === undefined ? {} : { upstream }),
    ...(wrote === undefined ? {} : { wrote }),
    ...(pushedAt === undefined ? {} : { pushedAt }),
    ...(referrersCheckedAt === undefined ? {} : { referrersCheckedAt }),
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
    ...(nextRetryAt === undefined ? {} : { nextRetryAt }),
    ...(isSparse === undefined ? {} : { isSparse }),
    ...(missing === undefined ? {} : { missing }),
  }
}
