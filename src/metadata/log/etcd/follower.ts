/**
 * @module Follows the log in etcd: one watch at a time, on whatever endpoint answers. It trusts no
 * connection and no watch: every entry has to be the next one by its version, which etcd counts.
 *
 *     reach ──► watch ──► entries …
 *       ▲         │ ended, silent, gap: the next endpoint
 *       └─────────┤
 *                 └ compacted ──► is anything lost? ── no ──► reach
 *                                       └ yes ──► onCut
 */
import type { LogEntry, LogFollower, LogPlace } from '../port.ts'
import type { Endpoints } from './endpoints.ts'
import { EtcdError, errorOf } from './errors.ts'
import { FOLLOW_PAUSE_MS_MAX, ROUND_PAUSE_MS, SILENT_MS, TRY_MS } from './limits.ts'
import {
  type KeyValue,
  METHODS,
  readRange,
  readWatch,
  type WatchAnswer,
  writeRange,
  writeWatch,
} from './messages.ts'
import { isSame, type LogKeys, type LogState, type Origin } from './origin.ts'
import type { EtcdReport } from './report.ts'
import type { Time } from './time.ts'

/** What followers share with their log. */
export interface FollowerLink {
  readonly endpoints: Endpoints
  readonly keys: LogKeys
  readonly origin: Origin
  readonly time: Time
  readonly report: (report: EtcdReport) => void
  /** The last entry that this log has heard of: by a head, and by an append of its own. */
  readonly known: { readonly index: number; readonly revision: number }
  /** Asks one endpoint for a linearizable state; notes its head, and refuses another log. */
  stateAt(at: number): Promise<LogState | undefined>
}

export class EtcdFollower {
  readonly #link: FollowerLink
  readonly #follower: LogFollower
  readonly #onOver: () => void
  #index: number
  #revision: number
  /** Where the next watch begins; 0: at the log's beginning. */
  #from: number
  #at: number
  /** Of the watch: what an earlier one still says is void. */
  #generation = 0
  /** Since the last entry. */
  #failures = 0
  readonly #reported = new Set<string>()
  #isOver = false
  #endStream: (() => void) | undefined
  #stopOpening: (() => void) | undefined
  #stopSilence: (() => void) | undefined
  #stopPause: (() => void) | undefined

  /** `onOver` is called when it was stopped, or cut. Throws RangeError for a token that is not etcd's. */
  constructor(link: FollowerLink, after: LogPlace, follower: LogFollower, onOver: () => void) {
    this.#link = link
    this.#follower = follower
    this.#onOver = onOver
    this.#index = after.index
    this.#revision = after.index === 0 ? 0 : revisionOf(after)
    this.#from = after.index === 0 ? 0 : this.#revision + 1
    this.#at = link.endpoints.current
  }

  start(): void {
    void this.#reach(this.#generation)
  }

  stop(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#leaveWatch()
    this.#onOver()
  }

  /** What is known has grown: a watch that does not show it in time is given up. */
  heed(): void {
    const { index, revision } = this.#link.known
    const isBehind = this.#index < index || this.#revision < revision
    if (!isBehind) {
      this.#stopSilence?.()
      this.#stopSilence = undefined
    } else if (this.#endStream !== undefined && this.#stopSilence === undefined) {
      this.#stopSilence = this.#link.time.after(SILENT_MS, () => {
        this.#again('silent', `no entry in ${SILENT_MS} ms, and there are some`)
      })
    }
  }

  /** Sees that the endpoint reaches a majority, that the log is the same, and how far it is. Never rejects. */
  async #reach(generation: number): Promise<void> {
    try {
      const state = await this.#link.stateAt(this.#at)
      if (generation !== this.#generation) return
      if (state === undefined) throw new EtcdError('missing', 'there is no log')
      if (state.index < this.#index) {
        throw new EtcdError('changed', `the log ends at ${state.index}, before ${this.#index}`)
      }
      this.#watch(generation, this.#from === 0 ? state.createRevision : this.#from)
    } catch (error) {
      this.#fail(generation, error)
    }
  }

  #watch(generation: number, start: number): void {
    const { endpoints, keys, time } = this.#link
    const request = writeWatch(keys.log, start)
    this.#endStream = endpoints.stream(this.#at, METHODS.watch, request, {
      onMessage: (message) => this.#onMessage(generation, message),
      onEnd: (failure) => this.#fail(generation, errorOf(failure, endpoints.names[this.#at]!)),
    })
    this.#stopOpening = time.after(TRY_MS, () => {
      this.#again('failed', `etcd at ${endpoints.names[this.#at]}: no watch in ${TRY_MS} ms`)
    })
    this.heed()
  }

  #onMessage(generation: number, message: Uint8Array): void {
    if (generation !== this.#generation) return
    let entries: readonly LogEntry[] | undefined
    try {
      const answer = readWatch(message)
      this.#link.origin.checkHeader(answer.header)
      if (answer.isCreated) this.#stopOpening?.()
      if (answer.isCanceled) {
        this.#onCanceled(answer)
        return
      }
      entries = this.#entriesOf(answer)
    } catch (error) {
      this.#fail(generation, error)
      return
    }
    if (entries === undefined) {
      this.#again('gap', `the entry behind ${this.#index} was left out: watched again`)
    } else if (entries.length > 0) {
      this.#handOn(entries)
    }
  }

  #onCanceled({ compactRevision, cancelReason }: WatchAnswer): void {
    if (compactRevision === 0) {
      const details = cancelReason === '' ? 'the watch was ended' : cancelReason
      throw errorOf({ status: 'UNAVAILABLE', details }, this.#link.endpoints.names[this.#at]!)
    }
    this.#leaveWatch()
    void this.#seeWhatIsLost(this.#generation, compactRevision)
  }

  /** Undefined when they are not the next ones, each of them. */
  #entriesOf({ events }: WatchAnswer): readonly LogEntry[] | undefined {
    const entries: LogEntry[] = []
    let [index, revision] = [this.#index, this.#revision]
    for (const event of events) {
      const { kv } = event
      if (!isSame(kv.key, this.#link.keys.log)) throw new EtcdError('malformed', 'a foreign key')
      this.#link.origin.checkEntry(event)
      if (kv.version !== index + 1 || kv.modRevision <= revision) return undefined
      entries.push(entryOf(kv))
      index = kv.version
      revision = kv.modRevision
    }
    return entries
  }

  #handOn(entries: readonly LogEntry[]): void {
    const last = entries.at(-1)!
    this.#index = last.index
    this.#revision = Number(last.token)
    this.#from = this.#revision + 1
    this.#failures = 0
    this.#reported.clear()
    this.#stopSilence?.()
    this.#stopSilence = undefined
    this.heed()
    this.#follower.onEntries(entries)
  }

  /**
   * etcd has forgotten the revisions before `compactRevision`, this watch's beginning among them. They may
   * have been other keys', in an etcd that is shared: the log's state at that revision tells.
   */
  async #seeWhatIsLost(generation: number, compactRevision: number): Promise<void> {
    const { endpoints, keys, origin } = this.#link
    try {
      const request = writeRange({ key: keys.log, revision: compactRevision, isKeysOnly: false })
      const { header, kvs } = readRange(await endpoints.call(this.#at, METHODS.range, request))
      if (generation !== this.#generation) return
      origin.checkHeader(header)
      const [kv] = kvs
      if (kv === undefined) throw new EtcdError('changed', 'the log was removed')
      origin.checkEntry({ kv, isDelete: false })
      if (kv.version > this.#index + 1) {
        this.stop()
        this.#follower.onCut()
        return
      }
      if (kv.version === this.#index + 1) this.#handOn([entryOf(kv)])
      this.#from = compactRevision + 1
      await this.#reach(generation)
    } catch (error) {
      this.#fail(generation, error)
    }
  }

  #fail(generation: number, error: unknown): void {
    if (!(error instanceof EtcdError)) throw error
    if (generation !== this.#generation) return
    const kind = error.code === 'changed' ? 'changed' : 'failed'
    this.#again(kind, error.message, error)
  }

  /** Opens the watch on the next endpoint: at once for a first round, then after a pause that doubles. */
  #again(kind: EtcdReport['kind'], message: string, error?: EtcdError): void {
    this.#leaveWatch()
    this.#say({ kind, message, ...(error === undefined ? {} : { error }) })
    if (this.#isOver) return
    const { endpoints, time } = this.#link
    this.#at = endpoints.after(this.#at)
    this.#failures += 1
    const rounds = Math.floor(this.#failures / endpoints.names.length)
    const pause = rounds === 0 ? 0 : ROUND_PAUSE_MS * 2 ** Math.min(rounds - 1, 10)
    const generation = this.#generation
    this.#stopPause = time.after(Math.min(pause, FOLLOW_PAUSE_MS_MAX), () => {
      void this.#reach(generation)
    })
  }

  /** Once a kind and code until entries come again: an outage is one report, not one a second. */
  #say(report: EtcdReport): void {
    const key = `${report.kind} ${report.error?.code}`
    if (this.#reported.has(key)) return
    this.#reported.add(key)
    this.#link.report(report)
  }

  #leaveWatch(): void {
    this.#generation += 1
    this.#endStream?.()
    this.#stopOpening?.()
    this.#stopSilence?.()
    this.#stopPause?.()
    this.#endStream = undefined
    this.#stopSilence = undefined
  }
}

/** Whether its token is one of this engine. */
export function isRevision({ token }: LogPlace): boolean {
  return /^[1-9][0-9]{0,15}$/.test(token) && Number.isSafeInteger(Number(token))
}

/** The revision that a token stands for. Throws RangeError for one that is not of this engine. */
export function revisionOf(place: LogPlace): number {
  if (isRevision(place)) return Number(place.token)
  throw new RangeError(`not a place of a log in etcd: ${place.token.slice(0, 40)}`)
}

function entryOf(kv: KeyValue): LogEntry {
  return { index: kv.version, bytes: kv.value, token: String(kv.modRevision) }
}
