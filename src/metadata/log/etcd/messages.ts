/**
 * @module The few messages of etcd's API v3 that the log needs, as bytes: requests are written, answers
 * read. Field numbers are those of etcd's `rpc.proto` and `kv.proto`, the same from 3.4 to 3.7.
 */
import { EtcdError } from './errors.ts'
import { EVENTS_MAX, NAMES_MAX } from './limits.ts'
import { WireReader, WireWriter } from './wire.ts'

/** Paths of the calls. */
export const METHODS = {
  range: '/etcdserverpb.KV/Range',
  put: '/etcdserverpb.KV/Put',
  txn: '/etcdserverpb.KV/Txn',
  compact: '/etcdserverpb.KV/Compact',
  watch: '/etcdserverpb.Watch/Watch',
  status: '/etcdserverpb.Maintenance/Status',
} as const

/** What stands before every answer. */
export interface Header {
  /** 64 bits that a cluster's first members and their token make. */
  readonly clusterId: bigint
  readonly revision: number
}

/** A key at one moment. */
export interface KeyValue {
  readonly key: Uint8Array
  readonly createRevision: number
  readonly modRevision: number
  /** 1 for what was just created, one more with each put. */
  readonly version: number
  /** A view of the message. */
  readonly value: Uint8Array
}

export interface RangeRequest {
  readonly key: Uint8Array
  /** The first key behind the range; `key` alone without it. */
  readonly end?: Uint8Array
  /** As it was then; the last one without it. */
  readonly revision?: number
  readonly isKeysOnly: boolean
}

export interface WatchAnswer {
  readonly header: Header
  readonly isCreated: boolean
  readonly isCanceled: boolean
  /** The first revision that a watch may begin with, when the asked one is behind it; else 0. */
  readonly compactRevision: number
  readonly cancelReason: string
  readonly events: readonly WatchEvent[]
}

export interface WatchEvent {
  readonly isDelete: boolean
  readonly kv: KeyValue
}

export interface StatusAnswer {
  readonly header: Header
  /** As `3.4.23`. */
  readonly version: string
  readonly dbBytes: number
  readonly dbBytesInUse: number
  /** 0 when it knows no leader. */
  readonly leader: bigint
  readonly memberId: bigint
  /** Its alarms among them. */
  readonly errors: readonly string[]
}

/** A linearizable read: the answer is of a majority, never of a member that lags. */
export function writeRange({ key, end, revision, isKeysOnly }: RangeRequest): Uint8Array {
  const writer = new WireWriter().bytes(1, key)
  if (end !== undefined) writer.bytes(2, end)
  writer.number(3, NAMES_MAX + 1)
  if (revision !== undefined) writer.number(4, revision)
  if (isKeysOnly) writer.boolean(8, true)
  return writer.finish()
}

export function writePut(key: Uint8Array, value: Uint8Array): Uint8Array {
  return put(key, value).finish()
}

/** Puts all of these when the first of the keys is not there, else none. */
export function writeCreate(
  puts: readonly (readonly [key: Uint8Array, value: Uint8Array])[],
): Uint8Array {
  const [first] = puts
  if (first === undefined) throw new RangeError('nothing to create')
  // The result EQUAL and the target VERSION are zeros, left out; version 0 says that there is no such key.
  const compare = new WireWriter().bytes(3, first[0]).number(4, 0)
  const writer = new WireWriter().message(1, compare)
  for (const [key, value] of puts) {
    writer.message(2, new WireWriter().message(2, put(key, value)))
  }
  return writer.finish()
}

export function writeCompact(revision: number): Uint8Array {
  return new WireWriter().number(1, revision).finish()
}

/** Watches one key from a revision on; answers may come in fragments. */
export function writeWatch(key: Uint8Array, startRevision: number): Uint8Array {
  const create = new WireWriter().bytes(1, key).number(3, startRevision).boolean(8, true)
  return new WireWriter().message(1, create).finish()
}

export function readRange(bytes: Uint8Array): {
  readonly header: Header
  readonly kvs: readonly KeyValue[]
} {
  const reader = new WireReader(bytes)
  let header: Header | undefined
  const kvs: KeyValue[] = []
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    switch (field) {
      case 1:
        header = readHeader(reader.message())
        break
      case 2:
        if (kvs.length > NAMES_MAX)
          throw new EtcdError('malformed', 'more keys than were asked for')
        kvs.push(readKeyValue(reader.message()))
        break
      default:
        reader.skip()
    }
  }
  return { header: required(header), kvs }
}

/** The header of an answer of which nothing else counts: of a put, and of a compaction. */
export function readHeaderOnly(bytes: Uint8Array): Header {
  const reader = new WireReader(bytes)
  let header: Header | undefined
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) header = readHeader(reader.message())
    else reader.skip()
  }
  return required(header)
}

export function readTxn(bytes: Uint8Array): {
  readonly header: Header
  readonly hasSucceeded: boolean
} {
  const reader = new WireReader(bytes)
  let header: Header | undefined
  let hasSucceeded = false
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    switch (field) {
      case 1:
        header = readHeader(reader.message())
        break
      case 2:
        hasSucceeded = reader.boolean()
        break
      default:
        reader.skip()
    }
  }
  return { header: required(header), hasSucceeded }
}

export function readWatch(bytes: Uint8Array): WatchAnswer {
  const reader = new WireReader(bytes)
  let header: Header | undefined
  let isCreated = false
  let isCanceled = false
  let compactRevision = 0
  let cancelReason = ''
  const events: WatchEvent[] = []
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    switch (field) {
      case 1:
        header = readHeader(reader.message())
        break
      case 3:
        isCreated = reader.boolean()
        break
      case 4:
        isCanceled = reader.boolean()
        break
      case 5:
        compactRevision = reader.number()
        break
      case 6:
        cancelReason = reader.text()
        break
      case 11:
        if (events.length >= EVENTS_MAX) throw new EtcdError('malformed', 'too many events')
        events.push(readEvent(reader.message()))
        break
      default:
        reader.skip()
    }
  }
  const rest = { isCreated, isCanceled, compactRevision, cancelReason, events }
  return { header: required(header), ...rest }
}

export function readStatus(bytes: Uint8Array): StatusAnswer {
  const reader = new WireReader(bytes)
  let header: Header | undefined
  let memberId = 0n
  let version = ''
  let dbBytes = 0
  let dbBytesInUse = 0
  let leader = 0n
  const errors: string[] = []
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    switch (field) {
      case 1: {
        const head = reader.bytes()
        header = readHeader(new WireReader(head))
        memberId = readMemberId(new WireReader(head))
        break
      }
      case 2:
        version = reader.text()
        break
      case 3:
        dbBytes = reader.number()
        break
      case 4:
        leader = reader.uint64()
        break
      case 8:
        if (errors.length < 100) errors.push(reader.text())
        else reader.skip()
        break
      case 9:
        dbBytesInUse = reader.number()
        break
      default:
        reader.skip()
    }
  }
  return { header: required(header), version, dbBytes, dbBytesInUse, leader, memberId, errors }
}

function put(key: Uint8Array, value: Uint8Array): WireWriter {
  return new WireWriter().bytes(1, key).bytes(2, value)
}

function readHeader(reader: WireReader): Header {
  let clusterId = 0n
  let revision = 0
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) clusterId = reader.uint64()
    else if (field === 3) revision = reader.number()
    else reader.skip()
  }
  return { clusterId, revision }
}

function readMemberId(reader: WireReader): bigint {
  let memberId = 0n
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 2) memberId = reader.uint64()
    else reader.skip()
  }
  return memberId
}

function readEvent(reader: WireReader): WatchEvent {
  let isDelete = false
  let kv: KeyValue | undefined
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) isDelete = reader.number() !== 0
    else if (field === 2) kv = readKeyValue(reader.message())
    else reader.skip()
  }
  return { isDelete, kv: required(kv) }
}

const EMPTY: Uint8Array = new Uint8Array()

function readKeyValue(reader: WireReader): KeyValue {
  let key = EMPTY
  let value = EMPTY
  let createRevision = 0
  let modRevision = 0
  let version = 0
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    switch (field) {
      case 1:
        key = reader.bytes()
        break
      case 2:
        createRevision = reader.number()
        break
      case 3:
        modRevision = reader.number()
        break
      case 4:
        version = reader.number()
        break
      case 5:
        value = reader.bytes()
        break
      default:
        reader.skip()
    }
  }
  return { key, createRevision, modRevision, version, value }
}

/** A part that each of etcd's answers has. */
function required<T>(part: T | undefined): T {
  if (part === undefined) throw new EtcdError('malformed', 'an answer lacks a part')
  return part
}
