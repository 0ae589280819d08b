/**
 * @module The messages of etcd's API v3 about its members, alarms and files, as bytes. Field numbers are
 * those of etcd's `rpc.proto`, the same from 3.4 to 3.7.
 */
import { EtcdError } from '../../metadata/log/etcd/errors.ts'
import { WireReader, WireWriter } from '../../metadata/log/etcd/wire.ts'
import { LIST_BYTES_MAX, MEMBERS_MAX, URLS_MAX } from './limits.ts'

/** Paths of the calls. */
export const METHODS = {
  list: '/etcdserverpb.Cluster/MemberList',
  add: '/etcdserverpb.Cluster/MemberAdd',
  promote: '/etcdserverpb.Cluster/MemberPromote',
  remove: '/etcdserverpb.Cluster/MemberRemove',
  moveLeader: '/etcdserverpb.Maintenance/MoveLeader',
  alarm: '/etcdserverpb.Maintenance/Alarm',
  defragment: '/etcdserverpb.Maintenance/Defragment',
} as const

/** A member as etcd lists it. */
export interface ListedMember {
  readonly id: bigint
  /** Empty until the member was started for the first time. */
  readonly name: string
  readonly peerUrls: readonly string[]
  /** None until the member was started for the first time. */
  readonly clientUrls: readonly string[]
  readonly isLearner: boolean
}

export type AlarmKind = 'no-space' | 'corrupt' | 'other'

export interface Alarm {
  readonly memberId: bigint
  readonly kind: AlarmKind
}

const GET = 0
const DEACTIVATE = 2
const NOSPACE = 1
const CORRUPT = 2

/** 3.5 and later answer with what a majority knows; 3.4 skips the field. */
export function writeList(): Uint8Array {
  return new WireWriter().boolean(1, true).finish()
}

/** A learner: it follows, and counts for no majority. */
export function writeAdd(peerUrl: string): Uint8Array {
  return new WireWriter().bytes(1, Buffer.from(peerUrl)).boolean(2, true).finish()
}

/** The request of a promotion, of a removal and of a move of the leadership: one id. */
export function writeId(id: bigint): Uint8Array {
  return new WireWriter().uint64(1, id).finish()
}

export function writeAlarms(): Uint8Array {
  return new WireWriter().number(1, GET).finish()
}

/** Takes the alarm of one member back. */
export function writeDisarm(memberId: bigint): Uint8Array {
  return new WireWriter().number(1, DEACTIVATE).uint64(2, memberId).number(3, NOSPACE).finish()
}

/** The members in the answer to a list. Throws `malformed`. */
export function readList(bytes: Uint8Array): readonly ListedMember[] {
  return readAll(bytes, 2, MEMBERS_MAX, readMember)
}

/** The alarms in an answer. Throws `malformed`. */
export function readAlarms(bytes: Uint8Array): readonly Alarm[] {
  // One of each kind a member.
  return readAll(bytes, 2, 2 * MEMBERS_MAX, readAlarm)
}

/** The member that was added. Throws `malformed`. */
export function readAdded(bytes: Uint8Array): ListedMember {
  const [added] = readAll(bytes, 2, 1, readMember)
  if (added === undefined) throw malformed('no member where one was added')
  return added
}

/** An answer of which nothing counts, and which may be empty. Throws `malformed` when it is not whole. */
export function readNothing(bytes: Uint8Array): void {
  readAll(bytes, 0, 0, () => undefined)
}

/** All messages of one field. Every other field is skipped, and has to be whole. */
function readAll<T>(
  bytes: Uint8Array,
  wanted: number,
  most: number,
  read: (reader: WireReader) => T,
): readonly T[] {
  if (bytes.length > LIST_BYTES_MAX) throw malformed(`${bytes.length} bytes of members`)
  const reader = new WireReader(bytes)
  const all: T[] = []
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field !== wanted) reader.skip()
    else if (all.length === most) throw malformed(`more than ${most} members or alarms`)
    else all.push(read(reader.message()))
  }
  return all
}

function readMember(reader: WireReader): ListedMember {
  let id = 0n
  let name = ''
  let isLearner = false
  const peerUrls: string[] = []
  const clientUrls: string[] = []
  const push = (urls: string[]) => {
    if (urls.length === URLS_MAX) throw malformed(`more than ${URLS_MAX} URLs of a member`)
    urls.push(reader.text())
  }
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    switch (field) {
      case 1:
        id = reader.uint64()
        break
      case 2:
        name = reader.text()
        break
      case 3:
        push(peerUrls)
        break
      case 4:
        push(clientUrls)
        break
      case 5:
        isLearner = reader.boolean()
        break
      default:
        reader.skip()
    }
  }
  if (id === 0n) throw malformed('a member without an id')
  return { id, name, peerUrls, clientUrls, isLearner }
}

function readAlarm(reader: WireReader): Alarm {
  let memberId = 0n
  let kind: AlarmKind = 'other'
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) memberId = reader.uint64()
    else if (field === 2) kind = kindOf(reader.number())
    else reader.skip()
  }
  return { memberId, kind }
}

function kindOf(code: number): AlarmKind {
  if (code === NOSPACE) return 'no-space'
  return code === CORRUPT ? 'corrupt' : 'other'
}

function malformed(what: string): EtcdError {
  return new EtcdError('malformed', `an answer has ${what}`)
}
