/**
 * @module The members of an etcd: who they are, how they are, and single changes of them. Each call is one
 * request; what follows from what is `steps.ts`.
 */
import { connectEtcd } from '../../metadata/log/etcd/client.ts'
import type { Connect, EtcdTls } from '../../metadata/log/etcd/connection.ts'
import { Endpoints } from '../../metadata/log/etcd/endpoints.ts'
import { EtcdError } from '../../metadata/log/etcd/errors.ts'
import {
  METHODS as LOG_METHODS,
  readHeaderOnly,
  readStatus,
  type StatusAnswer,
  writeRange,
} from '../../metadata/log/etcd/messages.ts'
import { systemTime, type Time } from '../../metadata/log/etcd/time.ts'
import { CHANGE_MS, DEFRAGMENT_MS, MEMBERS_MAX } from './limits.ts'
import {
  type Alarm,
  type ListedMember,
  METHODS,
  readAdded,
  readAlarms,
  readList,
  readNothing,
  writeAdd,
  writeAlarms,
  writeDisarm,
  writeId,
  writeList,
} from './messages.ts'

export interface EtcdMembersOptions {
  /** `host:port` of members that are asked, one at least. */
  readonly endpoints: readonly string[]
  readonly tls?: EtcdTls
  readonly time?: Time
  readonly connect?: Connect
}

/** Any key: it need not be there. */
const BARRIER = writeRange({ key: Buffer.from('fastregistry'), isKeysOnly: true })

/** Every promise rejects with an EtcdError. After a failed change nothing is known of it: look at the list. */
export class EtcdMembers {
  readonly #tls: EtcdTls | undefined
  readonly #via: { readonly connect: Connect; readonly time: Time }
  readonly #connections = new Map<string, Endpoints>()
  #names: readonly string[]
  #current = 0
  #isClosed = false

  /** Connects to nothing yet. Throws RangeError without an endpoint. */
  constructor({ endpoints, tls, connect = connectEtcd, time = systemTime }: EtcdMembersOptions) {
    if (endpoints.length === 0) throw new RangeError('no endpoints of etcd')
    this.#names = endpoints
    this.#tls = tls
    this.#via = { connect, time }
  }

  /** The endpoints that are asked from now on. */
  use(endpoints: readonly string[]): void {
    if (endpoints.length === 0) throw new RangeError('no endpoints of etcd')
    this.#names = endpoints
    this.#current = 0
    for (const [name, connection] of this.#connections) {
      if (endpoints.includes(name)) continue
      connection.close()
      this.#connections.delete(name)
    }
  }

  /**
   * The members as a majority knows them. Tries each endpoint once. etcd 3.4 lists what one member knows, so
   * that this member is made to catch up first: a read through the majority does that.
   */
  list(): Promise<readonly ListedMember[]> {
    return this.#ask(async (connection) => {
      readHeaderOnly(await connection.call(0, LOG_METHODS.range, BARRIER))
      return readList(await connection.call(0, METHODS.list, writeList()))
    })
  }

  /** One endpoint's account of itself, one try of 1.5 s. */
  async status(endpoint: string): Promise<StatusAnswer> {
    return readStatus(await this.#at(endpoint).call(0, LOG_METHODS.status, new Uint8Array()))
  }

  /** One try. Rejects with `refused` while a voter is down, a learner is there, or the URL is known. */
  async addLearner(peerUrl: string): Promise<ListedMember> {
    return readAdded(await this.#change(METHODS.add, writeAdd(peerUrl)))
  }

  /** Makes a learner a voter. One try. Rejects with `refused` while it is behind, or when it is none. */
  async promote(id: bigint): Promise<void> {
    readHeaderOnly(await this.#change(METHODS.promote, writeId(id)))
  }

  /** One try. Rejects with `refused` when too few would remain, or it is not there. */
  async remove(id: bigint): Promise<void> {
    readHeaderOnly(await this.#change(METHODS.remove, writeId(id)))
  }

  /** `endpoint`: the leader's own. One try. Rejects with `refused` when it does not lead. */
  async moveLeader(endpoint: string, target: bigint): Promise<void> {
    const connection = this.#at(endpoint)
    readNothing(await connection.call(0, METHODS.moveLeader, writeId(target), CHANGE_MS))
  }

  /** What members raised and nothing took back. Tries each endpoint once. */
  alarms(): Promise<readonly Alarm[]> {
    return this.#ask(async (connection) =>
      readAlarms(await connection.call(0, METHODS.alarm, writeAlarms())),
    )
  }

  /** Takes back that a member is full. One try. */
  async disarm(memberId: bigint): Promise<void> {
    readAlarms(await this.#change(METHODS.alarm, writeDisarm(memberId)))
  }

  /** Gives the free pages of one member's file back to its disk. It serves nothing meanwhile. */
  async defragment(endpoint: string): Promise<void> {
    const connection = this.#at(endpoint)
    const none = new Uint8Array()
    readNothing(await connection.call(0, METHODS.defragment, none, DEFRAGMENT_MS))
  }

  /** Rejects all that is under way with `closed`, and all that comes. */
  close(): void {
    this.#isClosed = true
    for (const connection of this.#connections.values()) connection.close()
    this.#connections.clear()
  }

  async #change(method: string, request: Uint8Array): Promise<Uint8Array> {
    const at = this.#current
    try {
      return await this.#at(this.#names[at]!).call(0, method, request, CHANGE_MS)
    } catch (error) {
      // The next try goes to another one; one that refuses may lack a connection that another has.
      if (this.#current === at) this.#current = (at + 1) % this.#names.length
      throw error
    }
  }

  async #ask<T>(work: (connection: Endpoints) => Promise<T>): Promise<T> {
    const names = this.#names
    for (let tries = 1; ; tries += 1) {
      const at = this.#current % names.length
      try {
        return await work(this.#at(names[at]!))
      } catch (error) {
        if (!(error instanceof EtcdError) || error.code === 'closed') throw error
        this.#current = (at + 1) % names.length
        if (tries === names.length) throw error
      }
    }
  }

  #at(endpoint: string): Endpoints {
    if (this.#isClosed) throw new EtcdError('closed', 'the members were closed')
    const known = this.#connections.get(endpoint)
    if (known !== undefined) return known
    const oldest = this.#connections.keys().next().value
    if (oldest !== undefined && this.#connections.size >= MEMBERS_MAX) {
      this.#connections.get(oldest)!.close()
      this.#connections.delete(oldest)
    }
    const made = new Endpoints([endpoint], this.#tls, this.#via)
    this.#connections.set(endpoint, made)
    return made
  }
}

/** `host:port` of a URL of etcd. Throws EtcdError `malformed` for what is none. */
export function endpointOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
    throw new EtcdError('malformed', `not a URL of etcd: ${url.slice(0, 100)}`)
  }
  const port = parsed.port === '' ? (parsed.protocol === 'https:' ? '443' : '80') : parsed.port
  return `${parsed.hostname}:${port}`
}
