/**
 * @module Applies one entry of the log at its place. Depends on the entry and the shared rows alone: every node
 * comes to the same rows and says the same of it.
 *
 * Exactly once: a sender has one entry under way and repeats it until it sees it here. So the next of a run has
 * the next number, and what has an older one was applied before. What a run sends after it was put out, or
 * after a newer run has begun, is void: a node that was cut off for an hour moves no tag back.
 */
import type { AppliedEntry, Control, Entry, EntryBody, EntryFate } from '../entry.ts'
import type { RowAccess } from '../row-access.ts'
import { hasRows } from '../rows/member-state.ts'
import type { ClusterRow, MemberRow, MemberState, SessionRow } from '../rows/mesh.ts'
import type { Databases } from '../schema.ts'
import type { CommitOutcome, Transaction } from '../transaction.ts'
import { dropEndedPins, endPins } from './held.ts'
import { takeLead, yieldLead } from './leads.ts'
import { knownLevel, levelOf, levelOfRun, UnknownLevel } from './level.ts'
import { type Around, applyTogether } from './transaction.ts'

export interface EntryParts {
  /** Reads a body. What it throws makes the entry poison. */
  readonly decode: (pieces: readonly Uint8Array[]) => EntryBody
  /** Adds the changes of this node's own tables to a transaction that it sent itself. */
  readonly withLocal?: ((it: Transaction, place: number) => Transaction) | undefined
  /** Runs around each transaction: for a writer that measures. */
  readonly around?: Around | undefined
  /** Leave out what the entry orders: it cannot be applied. Its place in the session is taken all the same. */
  readonly isPoison?: boolean
  /** The newest rules that the program knows. Default: as it is. */
  readonly level?: number
}

const nothing: EntryBody = { controls: [], transactions: [] }

/**
 * The caller holds one write transaction of the store around it. Throws UnknownLevel before rules that the program does
 * not know. Throws when the entry cannot be applied: then
 * the caller abandons the write transaction, and applies it again as poison.
 */
export function applyEntry(
  rows: RowAccess,
  index: number,
  entry: Entry,
  parts: EntryParts,
): AppliedEntry {
  const { member, boot, seq } = entry
  const { level = knownLevel } = parts
  const session = rows.get('sessions', String(member)) as SessionRow | undefined
  const said = (fate: EntryFate, body = nothing, rest = { outcomes: [], done: [] } as Results) => ({
    index,
    member,
    boot,
    seq,
    fate,
    body,
    ...rest,
  })
  if (session !== undefined && boot < session.boot) return said('void')
  const isNewRun = session === undefined || boot > session.boot
  if (isNewRun ? seq !== 1 : seq !== session.seq + 1) {
    return said(!isNewRun && seq <= session.seq ? 'repeated' : 'void')
  }
  // What an older run has left is no part of this one's.
  if (isNewRun) dropPieces(rows, member)
  const isPoison = parts.isPoison === true
  const body = isPoison ? nothing : bodyOf(rows, entry, parts.decode)
  const isPresent = !isNewRun && session.presentAt > 0
  if (isPoison || !(isPresent || comesIn(rows, member, body))) {
    if (!isNewRun) putSession(rows, member, { ...session, seq })
    dropPieces(rows, member)
    return said(isPoison ? 'poison' : 'void')
  }
  const run = isNewRun ? newRun(boot) : session
  putSession(rows, member, { ...run, seq })
  if (isNewRun) dropEndedPins(rows, member)
  if (body === undefined) {
    rows.put('parts', [String(member), orderOf(seq)], entry.body)
    return said('kept')
  }
  dropPieces(rows, member)
  const done = body.controls.map((it) => runControl(rows, index, entry, it, level))
  const transactions =
    parts.withLocal === undefined ? body.transactions : body.transactions.map(parts.withLocal)
  const outcomes = applyTogether(rows, [transactions], parts.around)[0]!
  return said('applied', { controls: body.controls, transactions }, { outcomes, done })
}

/** Whether a run that is not present says that it is: as a member, or as the one that it makes itself. */
function comesIn(rows: RowAccess, member: number, body: EntryBody | undefined): boolean {
  if (!(body?.controls.some(({ control }) => control === 'present') ?? false)) return false
  // Its program would come to other rows.
  if (!body!.controls.every((it) => it.control !== 'present' || (it.level ?? 1) >= levelOf(rows))) {
    return false
  }
  const known = memberOf(rows, member)
  if (known !== undefined) return known.state !== 'left' && known.state !== 'witness'
  return body!.controls.some((it) => it.control === 'member' && it.member === member)
}

interface Results {
  readonly outcomes: readonly CommitOutcome[]
  readonly done: readonly boolean[]
}

/** Undefined: more pieces follow. */
function bodyOf(
  rows: RowAccess,
  { member, piecesLeft, body }: Entry,
  decode: EntryParts['decode'],
): EntryBody | undefined {
  if (piecesLeft > 0) return undefined
  const kept = piecesOf(rows, member).map((key) => rows.get('parts', key) as Uint8Array)
  return decode([...kept, body])
}

function piecesOf(rows: RowAccess, member: number): Databases['parts']['key'][] {
  return rows.firstKeys('parts', [String(member)]) as Databases['parts']['key'][]
}

function dropPieces(rows: RowAccess, member: number): void {
  for (const key of piecesOf(rows, member)) rows.delete('parts', key)
}

/** Sorts by number. */
function orderOf(seq: number): string {
  return String(seq).padStart(16, '0')
}

function newRun(boot: number): SessionRow {
  return { boot, seq: 0, presentAt: 0, reads: 'barrier', beat: 0, visible: 0, durable: 0 }
}

function putSession(rows: RowAccess, member: number, row: SessionRow): void {
  rows.put('sessions', String(member), row)
}

function memberOf(rows: RowAccess, member: number): MemberRow | undefined {
  return rows.get('members', String(member)) as MemberRow | undefined
}

/** Whether it was done. Who has left comes back as another member; what it still sends is void. */
function putState(rows: RowAccess, member: number, state: MemberState): boolean {
  const row = memberOf(rows, member)
  if (row === undefined || row.state === 'left') return false
  // It has nothing to hand over, and answers nothing.
  if (row.state === 'witness' && state !== 'left') return false
  const session = rows.get('sessions', String(member)) as SessionRow | undefined
  // Who says that it is out may not have seen that it is back; and one that is to go does not come back by that.
  if (state === 'out' && (row.state !== 'active' || (session?.presentAt ?? 0) > 0)) return false
  rows.put('members', String(member), { ...row, state })
  if (state === 'left' && session !== undefined) {
    putSession(rows, member, { ...session, presentAt: 0 })
    dropPieces(rows, member)
  }
  return true
}

/** Whether it was done. Throws UnknownLevel when this program is not among those that may go on. */
function raiseLevel(rows: RowAccess, level: number, known: number): boolean {
  if (!Number.isSafeInteger(level) || level <= levelOf(rows)) return false
  for (const key of rows.firstKeys('members', []) as string[]) {
    const { state } = rows.get('members', key) as MemberRow
    const session = rows.get('sessions', key) as SessionRow | undefined
    if (hasRows(state) && levelOfRun(session) < level) return false
  }
  if (level > known) throw new UnknownLevel(level)
  const row = rows.get('cluster', 'settings') as ClusterRow | undefined
  rows.put('cluster', 'settings', { ...row, level })
  return true
}

/** Whether it was done. */
function runControl(
  rows: RowAccess,
  index: number,
  entry: Entry,
  it: Control,
  known: number,
): boolean {
  const { member, boot } = entry
  const session = rows.get('sessions', String(member)) as SessionRow
  switch (it.control) {
    case 'member': {
      const key = String(it.member)
      if (rows.get('members', key) !== undefined) return false
      const state = it.facts.witness === true ? 'witness' : 'joining'
      rows.put('members', key, { ...it.facts, state, since: index })
      return true
    }
    case 'state':
      return putState(rows, it.member, it.state)
    case 'present': {
      const presentAt = session.presentAt > 0 ? session.presentAt : index
      // It serves from here on, so all that is older is visible there.
      const seen = { beat: index, visible: index }
      const { level } = it
      const of = level === undefined ? seen : { ...seen, level }
      putSession(rows, member, { ...session, presentAt, reads: it.reads, ...of })
      const state = memberOf(rows, member)?.state
      if (state === 'joining' || state === 'out') putState(rows, member, 'active')
      return true
    }
    case 'beat': {
      const visible = Math.max(session.visible, it.visible)
      putSession(rows, member, { ...session, beat: index, visible, durable: it.durable })
      return true
    }
    case 'absent': {
      const other = rows.get('sessions', String(it.member)) as SessionRow | undefined
      if (other === undefined || other.boot !== it.boot || other.presentAt === 0) return false
      // Who says so of itself needs no proof; of another, there may be newer news.
      if (it.member !== member && other.beat !== it.beat) return false
      putSession(rows, it.member, { ...other, presentAt: 0 })
      dropPieces(rows, it.member)
      return true
    }
    case 'revoke':
      endPins(rows, member, it)
      return true
    case 'raise':
      return raiseLevel(rows, it.level, known)
    case 'lead':
      return takeLead(rows, it.job, { member, boot, index })
    case 'yield':
      return yieldLead(rows, it.job, { member, boot })
    default:
      throw new TypeError(`no such control: ${String((it as Control).control)}`)
  }
}
