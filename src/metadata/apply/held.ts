/**
 * @module Copies of blobs that members promise to keep (pins), as the log knows them. A row says that a blob is
 * here only when enough members keep a copy at that place in the order. A member removes a copy only when the
 * log says that its pins are over. Both are decided by the order, so they never pass each other.
 *
 * All pins of a run end with the run: the rows of the ended ones go when the member's next run comes in. Within a
 * run a member says with each revocation below which number all its pins are over, used ones too: so what is
 * written down is as much as was ended beside the oldest pin that lives, and that one lives some minutes.
 */
import type { Control } from '../entry.ts'
import type { RowAccess } from '../row-access.ts'
import type { EndedPinsRow, SessionRow } from '../rows/mesh.ts'
import type { HeldCheck, HeldCopy } from '../transaction.ts'

/** Of a member, beside those below its number. */
export const endedPinsMax = 4_096

const noneEnded: EndedPinsRow = { below: 0, pins: [] }

/** Every copy that is named is kept, and enough members keep one. */
export function isHeld(rows: RowAccess, { copies, atLeast }: HeldCheck): boolean {
  const members = new Set<number>()
  for (const copy of copies) {
    if (!isKept(rows, copy)) return false
    members.add(copy.member)
  }
  return members.size >= atLeast
}

function isKept(rows: RowAccess, { member, boot, pin }: HeldCopy): boolean {
  const session = rows.get('sessions', String(member)) as SessionRow | undefined
  if (session === undefined || session.boot !== boot) return false
  const { below, pins } = endedOf(rows, member)
  return pin >= below && !pins.includes(pin)
}

/**
 * Notes what a member takes back. More than fit: the oldest go, and all below them count as over; the member
 * keeps some copies then for which it is asked again.
 */
export function endPins(
  rows: RowAccess,
  member: number,
  it: Extract<Control, { control: 'revoke' }>,
): void {
  const before = endedOf(rows, member)
  const all = [...new Set([...before.pins, ...it.pins])].sort((one, other) => one - other)
  let below = Math.max(before.below, it.below)
  const excess = all.length - endedPinsMax
  if (excess > 0) below = Math.max(below, all[excess - 1]! + 1)
  rows.put('endedPins', String(member), { below, pins: all.filter((pin) => pin >= below) })
}

/** A new run of the member comes in: all pins of those before it are over by its number alone. */
export function dropEndedPins(rows: RowAccess, member: number): void {
  if (endedOf(rows, member) !== noneEnded) rows.delete('endedPins', String(member))
}

function endedOf(rows: RowAccess, member: number): EndedPinsRow {
  return (rows.get('endedPins', String(member)) as EndedPinsRow | undefined) ?? noneEnded
}
