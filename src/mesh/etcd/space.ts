/**
 * @module An etcd whose file has grown to its quota takes no entries until it has room again: the log is
 * truncated, each member gives the free pages back, one after the other, and the alarm is taken back.
 */
import { systemTime, type Time } from '../../metadata/log/etcd/time.ts'
import { DEFRAGMENTS_MAX, FREED_MS, LOOK_MS, QUOTA_BYTES, ROOM_SHARE } from './limits.ts'
import { type EtcdMembers, endpointOf } from './members.ts'
import type { ListedMember } from './messages.ts'

export interface SpaceOptions {
  readonly members: Pick<EtcdMembers, 'list' | 'status' | 'alarms' | 'defragment' | 'disarm'>
  readonly isLead: () => boolean
  /** Truncates the log as far as it may be. */
  readonly truncate: () => Promise<void>
  readonly quotaBytes?: number
  readonly time?: Time
}

/**
 * `well`: there is no such alarm. `freed`: there was, and entries are taken again.
 * `full`: what the log has to keep leaves no room; the alarm stays.
 * `not-lead`: this node does not act, or not any more.
 */
export type SpaceOutcome = 'well' | 'freed' | 'full' | 'not-lead'

/**
 * One look at the alarms, and all that follows from one. A member that does not answer keeps its alarm, and
 * the others their rest: rejects with an EtcdError, and can be called again. The leader is last, for a member
 * answers nothing while it writes its file again.
 */
export async function freeSpace(options: SpaceOptions): Promise<SpaceOutcome> {
  const { members, isLead, truncate } = options
  const { quotaBytes = QUOTA_BYTES, time = systemTime } = options
  if (!isLead()) return 'not-lead'
  const alarms = (await members.alarms()).filter(({ kind }) => kind === 'no-space')
  if (alarms.length === 0) return 'well'
  await truncate()
  const listed = await members.list()
  for (const endpoint of await inOrder(members, listed)) {
    const outcome = await shrink(options, endpoint, { bytes: quotaBytes * ROOM_SHARE, time })
    if (outcome !== 'freed') return outcome
  }
  // All of them: one that was left out would raise the alarm again with the first entry.
  for (const { memberId } of alarms) await members.disarm(memberId)
  return 'freed'
}

/** The endpoints of the members that were started, followers first. */
async function inOrder(
  members: SpaceOptions['members'],
  listed: readonly ListedMember[],
): Promise<readonly string[]> {
  const started = listed.flatMap(({ id, clientUrls: [url] }) =>
    url === undefined ? [] : [{ id, endpoint: endpointOf(url) }],
  )
  const [first] = started
  if (first === undefined) return []
  const { leader } = await members.status(first.endpoint)
  const followers = started.filter(({ id }) => id !== leader)
  return [...followers, ...started.filter(({ id }) => id === leader)].map((one) => one.endpoint)
}

interface Room {
  readonly bytes: number
  readonly time: Time
}

/** Makes the file of one member no larger than `bytes`, when its entries allow it. */
async function shrink(
  { members, isLead }: SpaceOptions,
  endpoint: string,
  room: Room,
): Promise<SpaceOutcome> {
  for (let tries = 0; tries < DEFRAGMENTS_MAX; tries += 1) {
    await compacted(members, endpoint, room)
    // Two of three that write their files at once would be a majority that does not answer.
    if (!isLead()) return 'not-lead'
    await members.defragment(endpoint)
    const { dbBytes } = await members.status(endpoint)
    if (dbBytes <= room.bytes) return 'freed'
  }
  return 'full'
}

/** Resolves when a member uses no more than `bytes`, or after FREED_MS. */
async function compacted(
  members: SpaceOptions['members'],
  endpoint: string,
  { bytes, time }: Room,
): Promise<void> {
  const end = time.monotonic() + FREED_MS
  for (;;) {
    const { dbBytesInUse } = await members.status(endpoint)
    if (dbBytesInUse <= bytes || time.monotonic() >= end) return
    await new Promise<void>((resolve) => {
      time.after(LOOK_MS, resolve)
    })
  }
}
