/**
 * @module Who the members are and which of them takes part, as the rows say it: the same on every node.
 */

import type { MetadataReader } from '../../metadata/port.ts'
import { hasRows } from '../../metadata/rows/member-state.ts'
import type { SessionRow } from '../../metadata/rows/mesh.ts'
import type { MeshMember } from '../peers/peers.ts'

/** Members that were ever there, at most: a page of rows. */
const membersMax = 10_000

type Rows = Pick<MetadataReader, 'entries' | 'get'>

/** All that were ever members, by number. */
export function allMembers(rows: Rows): readonly MeshMember[] {
  return rows
    .entries('members', [], undefined, membersMax)
    .map(({ key, row: { since: _since, ...row } }) => ({ number: Number(key), ...row }))
    .sort((a, b) => a.number - b.number)
}

export function sessionOf(rows: Rows, member: number): SessionRow | undefined {
  return rows.get('sessions', String(member))
}

export function isPresent(rows: Rows, member: number): boolean {
  return (sessionOf(rows, member)?.presentAt ?? 0) > 0
}

/** The member that acts for all, where two that do so at once only do it twice; undefined: none takes part. */
export function leadOf(rows: Rows): number | undefined {
  return allMembers(rows).find(({ number, state }) => state !== 'left' && isPresent(rows, number))
    ?.number
}

/** The least entry that a loss of power cannot take from some member that is to have it; 0 without one. */
export function leastDurable(rows: Rows): number {
  const durable = allMembers(rows)
    .filter(({ state }) => hasRows(state))
    .map(({ number }) => sessionOf(rows, number)?.durable ?? 0)
  return durable.length === 0 ? 0 : Math.min(...durable)
}
