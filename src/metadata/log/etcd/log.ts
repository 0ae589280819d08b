/**
 * @module The log of the mesh in etcd, which is used as a sequencer and as nothing else: the log is the
 * history of one key. An append is a plain put, so that nodes never contend; etcd counts the versions of
 * the key, and that count is the index of an entry; the revision of an entry is its token. Compaction is
 * truncation. Nothing is ever deleted; one empty key beside it names the log (`origin.ts`).
 */
import { type Random, randomHexId, systemRandom } from '../../../runtime/random.ts'
import type { LogFollower, LogPlace, SequencedLog } from '../port.ts'
import { connectEtcd } from './client.ts'
import type { Connect, EtcdTls } from './connection.ts'
import { Endpoints } from './endpoints.ts'
import { EtcdError } from './errors.ts'
import { EtcdFollower, type FollowerLink, isRevision, revisionOf } from './follower.ts'
import { ENTRY_BYTES_MAX } from './limits.ts'
import {
  METHODS,
  readHeaderOnly,
  readRange,
  readStatus,
  readTxn,
  type StatusAnswer,
  writeCompact,
  writeCreate,
  writePut,
  writeRange,
} from './messages.ts'
import { identityOf, keysOf, type LogKeys, type LogState, Origin, stateOf } from './origin.ts'
import type { EtcdReport } from './report.ts'
import { systemTime, type Time } from './time.ts'

export interface EtcdLogOptions {
  /** `host:port` of members, one at least. */
  readonly endpoints: readonly string[]
  /** Name of the cluster, 1 to 64 of `A-Z a-z 0-9 _ -`: clusters of different names can share an etcd. */
  readonly cluster: string
  /** The log that it has to be, as `identity()` gave it earlier; without it, the one that is met first. */
  readonly identity?: string
  readonly tls?: EtcdTls
  /** Default true. False leaves the history to etcd's own rules, as in an etcd that others use too. */
  readonly compact?: boolean
  readonly report?: (report: EtcdReport) => void
  readonly time?: Time
  readonly random?: Random
  readonly connect?: Connect
}

/** What one endpoint says of itself; `error` instead when it did not. */
export interface EtcdStatus {
  readonly endpoint: string
  readonly status?: StatusAnswer
  readonly error?: EtcdError
}

/** Every promise rejects with an EtcdError. Times and numbers of tries are in `limits.ts`. */
export class EtcdLog implements SequencedLog {
  readonly #endpoints: Endpoints
  readonly #keys: LogKeys
  readonly #origin: Origin
  readonly #compact: boolean
  readonly #report: (report: EtcdReport) => void
  readonly #random: Random
  readonly #link: FollowerLink
  readonly #followers = new Set<EtcdFollower>()
  readonly #known = { index: 0, revision: 0 }
  /** Endpoints whose version was looked at. */
  readonly #looked = new Set<number>()
  #isClosed = false

  /** Connects to nothing yet. Throws RangeError for a name or endpoints that cannot be. */
  constructor(options: EtcdLogOptions) {
    const { cluster, tls, connect = connectEtcd, time = systemTime } = options
    this.#endpoints = new Endpoints(options.endpoints, tls, { connect, time })
    this.#keys = keysOf(cluster)
    this.#origin = new Origin(options.identity)
    this.#compact = options.compact ?? true
    this.#report = options.report ?? (() => {})
    this.#random = options.random ?? systemRandom
    this.#link = {
      endpoints: this.#endpoints,
      keys: this.#keys,
      origin: this.#origin,
      time,
      report: this.#report,
      known: this.#known,
      stateAt: (at) => this.#stateAt(at),
    }
  }

  /** Members of the same etcd that are asked too from now on. */
  addEndpoints(endpoints: readonly string[]): void {
    this.#endpoints.add(endpoints)
  }

  /** One try of one endpoint. Rejects with `changed` where there was a log already. */
  async create(first: Uint8Array): Promise<boolean> {
    checkSize(first)
    const known = this.#origin.identity
    if (known !== undefined) throw new EtcdError('changed', `there was a log before: ${known}`)
    const name = randomHexId(this.#random)
    const request = writeCreate([
      [this.#keys.log, first],
      [this.#keys.nameKey(name), new Uint8Array()],
    ])
    const answer = await this.#endpoints.once(METHODS.txn, request)
    const { header, hasSucceeded } = readTxn(answer)
    if (hasSucceeded) {
      const { clusterId, revision } = header
      const identity = identityOf(clusterId, revision, name)
      this.#origin.pin({ identity, clusterId, createRevision: revision })
    }
    return hasSucceeded
  }

  async identity(): Promise<string | undefined> {
    return (await this.#state())?.identity
  }

  /**
   * One try of one endpoint, for 1.5 s at most; the next append goes to another one when it fails. Rejects
   * with `missing` before the log was created, with `changed` where another one was met and until this one
   * is met again, and with `too-large` for more than ENTRY_BYTES_MAX.
   */
  async append(bytes: Uint8Array): Promise<void> {
    checkSize(bytes)
    // A put would create the key of a log that is not there.
    if (!this.#origin.isSure && (await this.#state()) === undefined) {
      throw new EtcdError('missing', 'there is no log')
    }
    const answer = await this.#endpoints.once(METHODS.put, writePut(this.#keys.log, bytes))
    const header = readHeaderOnly(answer)
    this.#origin.checkHeader(header)
    this.#note(0, header.revision)
  }

  /** 0 when there is no log. Tries all endpoints, for 4.5 s at most. */
  async head(): Promise<number> {
    return (await this.#state())?.index ?? 0
  }

  /**
   * What is wrong below goes to the log's `report`; the follower tries on until it is stopped. Its bytes
   * are views of received messages of at most MESSAGE_BYTES_MAX. Throws RangeError for a foreign token.
   */
  follow(after: LogPlace, follower: LogFollower): () => void {
    const one = new EtcdFollower(this.#link, after, follower, () => this.#followers.delete(one))
    if (this.#isClosed) return () => {}
    this.#followers.add(one)
    one.start()
    return () => one.stop()
  }

  isPlace(place: LogPlace): boolean {
    return isRevision(place)
  }

  /** Resolves when etcd has forgotten the history before `place`; the entry at `place` itself may stay. */
  async truncate(place: LogPlace): Promise<void> {
    if (!this.#compact || place.index === 0) return
    const request = writeCompact(revisionOf(place))
    // A compaction is of the whole etcd: it has to be the right one.
    await this.#state()
    try {
      await this.#endpoints.ask((at, ms) => this.#endpoints.call(at, METHODS.compact, request, ms))
    } catch (error) {
      if (!(error instanceof EtcdError) || error.code !== 'compacted') throw error
    }
  }

  /** Asks each endpoint for its version, size and alarms, one try each. */
  async status(): Promise<readonly EtcdStatus[]> {
    return await Promise.all(
      this.#endpoints.names.map(async (endpoint, at) => {
        try {
          return { endpoint, status: await this.#statusAt(at) }
        } catch (error) {
          if (!(error instanceof EtcdError)) throw error
          return { endpoint, error }
        }
      }),
    )
  }

  close(): Promise<void> {
    this.#isClosed = true
    for (const follower of [...this.#followers]) follower.stop()
    this.#endpoints.close()
    return Promise.resolve()
  }

  #state(): Promise<LogState | undefined> {
    return this.#endpoints.ask((at, ms) => this.#stateAt(at, ms))
  }

  async #stateAt(at: number, ms?: number): Promise<LogState | undefined> {
    const { log: key, end } = this.#keys
    const request = writeRange({ key, end, isKeysOnly: true })
    const answer = readRange(await this.#endpoints.call(at, METHODS.range, request, ms))
    const state = stateOf(answer, this.#keys)
    this.#origin.checkState(state)
    if (state !== undefined) this.#note(state.index, state.revision)
    void this.#lookAtVersion(at)
    return state
  }

  #note(index: number, revision: number): void {
    this.#known.index = Math.max(this.#known.index, index)
    this.#known.revision = Math.max(this.#known.revision, revision)
    for (const follower of this.#followers) follower.heed()
  }

  async #statusAt(at: number): Promise<StatusAnswer> {
    return readStatus(await this.#endpoints.call(at, METHODS.status, new Uint8Array()))
  }

  /** Once an endpoint, beside the answer that it gave. Never rejects. */
  async #lookAtVersion(at: number): Promise<void> {
    if (this.#looked.has(at)) return
    this.#looked.add(at)
    // It is a courtesy: an endpoint that does not say is not asked again.
    const answer = await this.#statusAt(at).catch(() => undefined)
    if (answer === undefined || isCurrent(answer.version)) return
    const endpoint = this.#endpoints.names[at]
    const version = answer.version.slice(0, 40)
    const message = `etcd at ${endpoint} is ${version}: 3.5 to 3.7 are known to be sound`
    this.#report({ kind: 'version', message })
  }
}

/** Whether it is a version from 3.5 to 3.7. 3.4 works, and has had its last release. */
function isCurrent(version: string): boolean {
  return /^3\.[567]\./.test(version)
}

function checkSize({ length }: Uint8Array): void {
  if (length <= ENTRY_BYTES_MAX) return
  throw new EtcdError('too-large', `an entry of ${length} bytes; ${ENTRY_BYTES_MAX} are the most`)
}
