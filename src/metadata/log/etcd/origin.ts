/**
 * @module Which log this is. A log is one key of one etcd. Its identity is made of etcd's cluster id, of the
 * revision at which the key was created, and of a random name that was put beside it in the same
 * transaction: an etcd that is set up again with the same flags comes to the same cluster id and the same
 * revisions, and only the name tells it from the one that it replaced.
 */
import { EtcdError } from './errors.ts'
import type { Header, KeyValue, WatchEvent } from './messages.ts'

const CLUSTER = /^[A-Za-z0-9_-]{1,64}$/
const NAME = /^[0-9a-f]{32}$/

/** The keys of a log, and all that is asked for at once: the log, then the names. */
export interface LogKeys {
  readonly log: Uint8Array
  /** The first key behind the names. */
  readonly end: Uint8Array
  nameKey(name: string): Uint8Array
}

/** Throws RangeError for a cluster whose name is not 1 to 64 of `A-Z a-z 0-9 _ -`. */
export function keysOf(cluster: string): LogKeys {
  if (!CLUSTER.test(cluster)) throw new RangeError(`not a name of a cluster: ${cluster}`)
  const key = `fastregistry/${cluster}/log/0`
  const bytesOf = (text: string) => Buffer.from(text, 'latin1')
  return {
    log: bytesOf(key),
    // `0` comes behind `/`.
    end: bytesOf(`${key}/name0`),
    nameKey: (name) => bytesOf(`${key}/name/${name}`),
  }
}

/** The log at one moment. */
export interface LogState {
  readonly identity: string
  /** Whether `create` made it; an append to a log that was removed makes one without a name. */
  readonly isNamed: boolean
  readonly clusterId: bigint
  readonly createRevision: number
  /** Of the last entry. */
  readonly index: number
  readonly revision: number
}

/** The state in an answer to the range of all keys; undefined when there is no log. */
export function stateOf(
  { header, kvs }: { readonly header: Header; readonly kvs: readonly KeyValue[] },
  keys: LogKeys,
): LogState | undefined {
  const log = kvs.find(({ key }) => isSame(key, keys.log))
  if (log === undefined) return undefined
  // Names of logs that were removed are still there.
  const named = kvs.find((kv) => kv !== log && kv.createRevision === log.createRevision)
  const name = named === undefined ? '' : Buffer.from(named.key).toString('latin1').slice(-32)
  const { createRevision, version: index, modRevision: revision } = log
  const identity = identityOf(header.clusterId, createRevision, name)
  const isNamed = NAME.test(name)
  return { identity, isNamed, clusterId: header.clusterId, createRevision, index, revision }
}

export function identityOf(clusterId: bigint, createRevision: number, name: string): string {
  return `etcd:${clusterId.toString(16).padStart(16, '0')}:${createRevision}:${name}`
}

export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** Remembers the log that was met first, or that the caller expects, and refuses every other one. */
export class Origin {
  readonly #expected: string | undefined
  #clusterId: bigint | undefined
  #createRevision = 0
  #identity: string | undefined
  /** Another one was met since. */
  #isInDoubt = false

  constructor(expected?: string) {
    this.#expected = expected
  }

  /** The log that all answers have to be of; undefined before the first was met. */
  get identity(): string | undefined {
    return this.#identity ?? this.#expected
  }

  /** Whether the log was met, and no other one since. */
  get isSure(): boolean {
    return this.#identity !== undefined && !this.#isInDoubt
  }

  /** Takes the log for the one from now on. */
  pin({
    identity,
    clusterId,
    createRevision,
  }: Omit<LogState, 'index' | 'revision' | 'isNamed'>): void {
    this.#identity = identity
    this.#clusterId = clusterId
    this.#createRevision = createRevision
  }

  /** Throws `changed` for another log than before, and for none where there was one. */
  checkState(state: LogState | undefined): void {
    const known = this.identity
    if (state?.isNamed === false) throw this.#other('the log was made by something else')
    if (known !== undefined && known !== state?.identity) {
      throw this.#other(`the log is ${state?.identity ?? 'gone'}, and was ${known}`)
    }
    this.#isInDoubt = false
    if (state !== undefined && this.#identity === undefined) this.pin(state)
  }

  /** Throws `changed` when the answer is of another etcd. Called after a state was met. */
  checkHeader({ clusterId }: Header): void {
    if (clusterId === this.#clusterId) return
    throw this.#other(`the cluster id is ${clusterId.toString(16)}, and was another`)
  }

  /** Throws `changed` when this is no entry of the log. Called after a state was met. */
  checkEntry({ kv, isDelete }: WatchEvent): void {
    if (isDelete) throw this.#other('the log was removed')
    if (kv.createRevision !== this.#createRevision) throw this.#other('the log was created again')
  }

  #other(what: string): EtcdError {
    this.#isInDoubt = true
    return new EtcdError('changed', what)
  }
}
