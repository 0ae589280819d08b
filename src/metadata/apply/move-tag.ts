/**
 * @module A push moves a tag, decided from the rows that are there at its place in the order. Many pushes of
 * one tag, from wherever, are simply one after the other: none rests on what an earlier read saw.
 */
import type { DerivedRows } from '../derived-rows.ts'
import { movedTag, pointTag, refusalOf } from '../edits.ts'
import type { RowAccess } from '../row-access.ts'
import type { Databases } from '../schema.ts'
import type { MoveTag, TagRefusal } from '../transaction.ts'
import { applyChange } from './change.ts'

/** Why the tag may not move; undefined: it may. A tag that anybody may move costs no look. */
export function refusedMove(rows: RowAccess, move: MoveTag): TagRefusal | undefined {
  if (move.condition === undefined && !move.isImmutable) return undefined
  return refusalOf(move, tagRow(rows, move)?.digest)
}

export function moveTag(rows: DerivedRows, move: MoveTag): void {
  const { key, digest, at, by } = move
  const [repository, tag] = key
  const before = tagRow(rows, move)
  const from = before?.digest === digest ? undefined : before?.digest
  if (from !== undefined) raiseLoser(rows, [repository, from], at)
  const row = movedTag(before, digest, at, by)
  for (const change of pointTag(repository, tag, row, from)) applyChange(rows, change)
  const event = { at, action: 'push', repository, by, digest, tag } as const
  rows.appendEvent(from === undefined ? event : { ...event, from })
}

/**
 * Whoever resolved the tag a moment ago pulls the old manifest now: its age begins again. A cache that was
 * superseded is of no use to anybody.
 */
function raiseLoser(rows: DerivedRows, key: Databases['manifests']['key'], at: number): void {
  const loser = rows.get('manifests', key) as Databases['manifests']['row'] | undefined
  if (loser === undefined || loser.isBuildCache === true) return
  applyChange(rows, { change: 'raise', in: 'manifests', key, at })
}

function tagRow(rows: RowAccess, { key }: MoveTag): Databases['tags']['row'] | undefined {
  return rows.get('tags', key) as Databases['tags']['row'] | undefined
}
