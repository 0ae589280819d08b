/**
 * @module An etcd of some endpoints in memory, by bytes, that a test tells how to behave: silent or broken
 * endpoints, lost events, compactions, another cluster in its place. It knows the log's keys and calls, and
 * nothing else.
 */
import assert from 'node:assert/strict'
import type {
  CallEnd,
  Connect,
  EtcdConnection,
  StreamEnd,
} from '../../../src/metadata/log/etcd/connection.ts'
import type { CallFailure } from '../../../src/metadata/log/etcd/errors.ts'
import { WireReader, WireWriter } from '../../../src/metadata/log/etcd/wire.ts'

/** One version of a key. */
export interface FakeKv {
  readonly key: string
  readonly create: number
  readonly mod: number
  readonly version: number
  readonly value: Uint8Array
}

export interface FakeWatch {
  readonly at: number
  readonly start: number
  readonly end: StreamEnd
  isOpen: boolean
  /** What is put from now on is shown; what was put before was. */
  isRunning: boolean
}

/** How an endpoint answers: as etcd does, never, or with this. */
type Manner = 'well' | 'silent' | CallFailure

export const REFUSED: CallFailure = { status: 'UNAVAILABLE', details: 'connect ECONNREFUSED' }

export class FakeEtcd {
  readonly names: readonly string[]
  clusterId = 0xfeed_beef_0000_0001n
  version = '3.6.1'
  revision = 1
  compacted = 0
  /** Every version of every key. */
  history: FakeKv[] = []
  /** By endpoint. */
  readonly manners: Manner[]
  /** Whether its watches open, and show nothing. */
  readonly isWatchSilent: boolean[]
  /** Whether its watches do not even open. */
  readonly isStreamDead: boolean[]
  readonly calls: { readonly at: number; readonly method: string }[] = []
  readonly watches: FakeWatch[] = []
  /** Puts whose answer does not arrive, though they are done. */
  isAnswerLost = false
  isClosed = false

  constructor(endpoints = 3) {
    this.names = Array.from({ length: endpoints }, (_, at) => `127.0.0.1:${at + 1}`)
    this.manners = this.names.map(() => 'well')
    this.isWatchSilent = this.names.map(() => false)
    this.isStreamDead = this.names.map(() => false)
  }

  readonly connect: Connect = (endpoint) => {
    const at = this.names.indexOf(endpoint)
    assert.ok(at >= 0)
    const connection: EtcdConnection = {
      call: (method, request, end) => this.#call(at, method, request, end),
      stream: (_, request, end) => this.#stream(at, request, end),
      close: () => {
        this.isClosed = true
      },
    }
    return connection
  }

  /** Methods that endpoint `at` was called with, without their service. */
  callsOf(at: number): readonly string[] {
    return this.calls
      .filter((call) => call.at === at)
      .map(({ method }) => method.slice(method.lastIndexOf('/') + 1))
  }

  /** Puts a key, as another node would, and shows it to the watches that are open. */
  put(key: string, value: string | Uint8Array, revision = this.revision + 1): FakeKv {
    this.revision = revision
    const before = this.at(key)
    const kv: FakeKv = {
      key,
      create: before?.create ?? revision,
      mod: revision,
      version: (before?.version ?? 0) + 1,
      value: Buffer.from(value),
    }
    this.history.push(kv)
    for (const watch of this.watches) this.#show(watch, [kv])
    return kv
  }

  /** The key as it was at `revision`; undefined when it was not there. */
  at(key: string, revision = this.revision): FakeKv | undefined {
    return this.history.filter((kv) => kv.key === key && kv.mod <= revision).at(-1)
  }

  get open(): readonly FakeWatch[] {
    return this.watches.filter(({ isOpen }) => isOpen)
  }

  /** Sends these to a watch as they are. */
  send(watch: FakeWatch, ...kvs: readonly FakeKv[]): void {
    watch.end.onMessage(this.watchAnswer({ events: kvs }))
  }

  /** Ends every watch of an endpoint. */
  endWatches(at: number, failure: CallFailure = REFUSED): void {
    for (const watch of this.open.filter((one) => one.at === at)) {
      watch.isOpen = false
      watch.end.onEnd(failure)
    }
  }

  watchAnswer(
    parts: {
      readonly events?: readonly FakeKv[]
      readonly deleted?: readonly FakeKv[]
      readonly isCreated?: boolean
      readonly canceled?: { readonly compactRevision?: number; readonly reason?: string }
    },
    clusterId = this.clusterId,
  ): Uint8Array {
    const { events = [], deleted = [], isCreated = false, canceled } = parts
    const writer = this.#answer(clusterId).boolean(3, isCreated)
    if (canceled !== undefined) {
      writer.boolean(4, true).number(5, canceled.compactRevision ?? 0)
      writer.bytes(6, Buffer.from(canceled.reason ?? ''))
    }
    for (const kv of events) writer.message(11, new WireWriter().message(2, kvMessage(kv)))
    for (const kv of deleted) {
      writer.message(11, new WireWriter().number(1, 1).message(2, kvMessage(kv)))
    }
    return writer.finish()
  }

  #call(at: number, method: string, request: Uint8Array, end: CallEnd): () => void {
    this.calls.push({ at, method })
    const manner = this.manners[at]!
    let isOver = false
    if (manner === 'silent') return () => {}
    setImmediate(() => {
      if (isOver) return
      if (typeof manner === 'object') end.onFailure(manner)
      else this.#answerTo(method, request, end)
    })
    return () => {
      isOver = true
    }
  }

  #answerTo(method: string, request: Uint8Array, end: CallEnd): void {
    const fields = fieldsOf(request)
    switch (method.slice(method.lastIndexOf('/') + 1)) {
      case 'Range':
        this.#range(fields, end)
        break
      case 'Put':
        this.put(textOf(fields, 1), fields.get(2)![0] as Uint8Array)
        if (!this.isAnswerLost) end.onAnswer(this.#answer().finish())
        break
      case 'Txn':
        end.onAnswer(this.#txn(fields))
        break
      case 'Compact': {
        const revision = numberOf(fields, 1)
        if (revision <= this.compacted) {
          const details = 'etcdserver: mvcc: required revision has been compacted'
          end.onFailure({ status: 'OUT_OF_RANGE', details })
          return
        }
        this.compacted = revision
        end.onAnswer(this.#answer().finish())
        break
      }
      case 'Status':
        end.onAnswer(this.#answer().bytes(2, Buffer.from(this.version)).finish())
        break
      default:
        end.onFailure({ status: 'UNIMPLEMENTED', details: method })
    }
  }

  #range(fields: Fields, end: CallEnd): void {
    const [from, to] = [textOf(fields, 1), fields.has(2) ? textOf(fields, 2) : undefined]
    const revision = fields.has(4) ? numberOf(fields, 4) : this.revision
    if (revision < this.compacted) {
      const details = 'etcdserver: mvcc: required revision has been compacted'
      end.onFailure({ status: 'OUT_OF_RANGE', details })
      return
    }
    const keys = [...new Set(this.history.map(({ key }) => key))].sort()
    const writer = this.#answer()
    for (const key of keys.filter(
      (one) => one === from || (to !== undefined && one > from && one < to),
    )) {
      const kv = this.at(key, revision)
      if (kv !== undefined) writer.message(2, kvMessage(kv, fields.has(8)))
    }
    end.onAnswer(writer.finish())
  }

  #txn(fields: Fields): Uint8Array {
    const compare = fieldsOf(fields.get(1)![0] as Uint8Array)
    const isFree = this.at(textOf(compare, 3)) === undefined
    if (isFree) {
      const revision = this.revision + 1
      for (const op of fields.get(2)!) {
        const put = fieldsOf(fieldsOf(op as Uint8Array).get(2)![0] as Uint8Array)
        this.put(textOf(put, 1), put.get(2)![0] as Uint8Array, revision)
      }
    }
    return this.#answer().boolean(2, isFree).finish()
  }

  #stream(at: number, request: Uint8Array, end: StreamEnd): () => void {
    const create = fieldsOf(fieldsOf(request).get(1)![0] as Uint8Array)
    assert.equal(numberOf(create, 8), 1, 'a watch without fragments')
    const watch: FakeWatch = { at, start: numberOf(create, 3), end, isOpen: true, isRunning: false }
    const manner = this.manners[at]!
    this.watches.push(watch)
    setImmediate(() => {
      if (!watch.isOpen || manner === 'silent' || this.isStreamDead[at]) return
      if (typeof manner === 'object') {
        watch.isOpen = false
        end.onEnd(manner)
        return
      }
      end.onMessage(this.watchAnswer({ isCreated: true }))
      if (watch.isOpen && watch.start < this.compacted) {
        watch.isOpen = false
        end.onMessage(this.watchAnswer({ canceled: { compactRevision: this.compacted } }))
        return
      }
      const key = textOf(create, 1)
      watch.isRunning = true
      this.#show(
        watch,
        this.history.filter((kv) => kv.key === key),
      )
    })
    return () => {
      watch.isOpen = false
    }
  }

  #show(watch: FakeWatch, kvs: readonly FakeKv[]): void {
    const events = kvs.filter(({ key, mod }) => key.endsWith('/log/0') && mod >= watch.start)
    if (
      !watch.isOpen ||
      !watch.isRunning ||
      this.isWatchSilent[watch.at] ||
      this.manners[watch.at] !== 'well'
    )
      return
    if (events.length > 0) this.send(watch, ...events)
  }

  #answer(clusterId = this.clusterId): WireWriter {
    const rest = new WireWriter().number(3, this.revision).bytes(9, Buffer.from('unknown')).finish()
    return new WireWriter().bytes(1, Buffer.concat([Uint8Array.of(0x08), varint(clusterId), rest]))
  }
}

/** 64 bits, which the writer of the product does not need. */
function varint(value: bigint): Uint8Array {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  return Uint8Array.from([...bytes, Number(rest)])
}

function kvMessage(kv: FakeKv, isKeyOnly = false): WireWriter {
  const writer = new WireWriter()
    .bytes(1, Buffer.from(kv.key))
    .number(2, kv.create)
    .number(3, kv.mod)
    .number(4, kv.version)
  return isKeyOnly ? writer : writer.bytes(5, kv.value)
}

type Fields = ReadonlyMap<number, readonly (number | Uint8Array)[]>

/** The fields of a request: numbers and bytes are told apart by what the log sends. */
function fieldsOf(bytes: Uint8Array): Fields {
  const reader = new WireReader(bytes)
  const fields = new Map<number, (number | Uint8Array)[]>()
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    let value: number | Uint8Array
    try {
      value = reader.bytes()
    } catch {
      value = reader.number()
    }
    fields.set(field, [...(fields.get(field) ?? []), value])
  }
  return fields
}

function textOf(fields: Fields, field: number): string {
  return Buffer.from(fields.get(field)![0] as Uint8Array).toString()
}

function numberOf(fields: Fields, field: number): number {
  return fields.get(field)![0] as number
}
