/**
 * @module Checks and single changes of a transaction on the rows of an open write transaction, and
 * the index of candidates that they keep:
 *
 *   a blob has an entry in `candidates` ◄── it is new, was linked, or lost a link or a manifest
 *   the entry goes ◄── its only holder gets a manifest that uses it, or a collection looked closely
 *
 * So a blob without an entry is used by a manifest in every repository that holds it, and a
 * collection looks at the entries instead of at everything. An entry's row is new whenever something
 * speaks for a look: one that is unchanged since before the look can go.
 */
import { assertNever } from '../../registry/assert-never.ts'
import type { DerivedRows } from '../derived-rows.ts'
import type { RowAccess } from '../row-access.ts'
import type { Databases } from '../schema.ts'
import type { Check, SingleChange } from '../transaction.ts'
import { isHeld } from './held.ts'
import { isLed } from './leads.ts'

export function holds(rows: RowAccess, check: Check): boolean {
  switch (check.check) {
    case 'absent':
      return rows.get(check.in, check.key) === undefined
    case 'present':
      return rows.get(check.in, check.key) !== undefined
    case 'unchanged':
      return isSame(rows.get(check.in, check.key), check.row)
    case 'none':
      return rows.firstKeys(check.in, check.prefix, 1).length === 0
    case 'held':
      return isHeld(rows, check)
    case 'lead':
      return isLed(rows, check)
    default:
      return assertNever(check)
  }
}

/** A change of one row or one blob, with what it means to the index of candidates. */
export function applyChange(rows: DerivedRows, change: SingleChange): void {
  switch (change.change) {
    case 'put':
      rows.put(change.in, change.key, change.row)
      break
    case 'putIfAbsent':
      if (rows.get(change.in, change.key) !== undefined) return
      rows.put(change.in, change.key, change.row)
      break
    case 'delete':
      rows.delete(change.in, change.key)
      break
    case 'raise':
      raise(rows, change)
      return
    case 'arrive':
      arrive(rows, change)
      return
    case 'event':
      rows.appendEvent(change.row)
      return
    default:
      return assertNever(change)
  }
  keepCandidates(rows, change)
}

function arrive(rows: DerivedRows, change: SingleChange & { readonly change: 'arrive' }): void {
  const { key, row, inlineBytes } = change
  const before = rows.get('blobs', key) as Databases['blobs']['row'] | undefined
  if (inlineBytes !== undefined && before?.place === 'file') {
    return raise(rows, { change: 'raise', in: 'blobs', key, at: row.linkedAt })
  }
  rows.put('blobs', key, row)
  if (inlineBytes === undefined) rows.delete('blobBytes', key)
  else rows.put('blobBytes', key, inlineBytes)
  suspect(rows, key)
}

/** An earlier change of the same transaction may have deleted the row: then nothing is raised. */
function raise(rows: DerivedRows, change: SingleChange & { readonly change: 'raise' }): void {
  if (change.in === 'blobs') {
    const row = rows.get('blobs', change.key) as Databases['blobs']['row'] | undefined
    if (row === undefined) return
    rows.putPlain('blobs', change.key, { ...row, linkedAt: Math.max(row.linkedAt, change.at) })
    return
  }
  const row = rows.get('manifests', change.key) as Databases['manifests']['row'] | undefined
  if (row === undefined) return
  const reliedAt = Math.max(row.reliedAt ?? 0, change.at)
  rows.putPlain('manifests', change.key, { ...row, reliedAt })
}

function keepCandidates(
  rows: DerivedRows,
  change: Extract<SingleChange, { change: 'put' | 'putIfAbsent' | 'delete' }>,
): void {
  if (change.in === 'links') {
    rows.put('candidates', change.key[1], rows.stamp())
  } else if (change.in === 'blobs') {
    // A file that was adopted after a crash has a row and no link.
    if (change.change === 'delete') rows.delete('candidates', change.key)
    else suspect(rows, change.key)
  } else if (change.in === 'parents') {
    const [child, repository] = change.key
    const isCandidate = rows.get('candidates', child) !== undefined
    if (change.change === 'delete') {
      // A child that is a manifest has no row here.
      if (isCandidate || rows.get('blobs', child) !== undefined) {
        rows.put('candidates', child, rows.stamp())
      }
    } else if (isCandidate && isOnlyHolder(rows, child, repository)) {
      rows.delete('candidates', child)
    }
  }
}

/** The next collection looks at this blob, if it is one (a manifest's child may be another manifest). */
export function suspect(rows: DerivedRows, child: string): void {
  if (rows.get('candidates', child) !== undefined) return
  if (rows.get('blobs', child) !== undefined) rows.put('candidates', child, rows.stamp())
}

function isOnlyHolder(rows: RowAccess, digest: string, repository: string): boolean {
  const holders = rows.firstKeys('holders', [digest], 2) as (readonly string[])[]
  return holders.length === 1 && holders[0]![1] === repository
}

/** Equal rows: plain data, whatever the order of its fields. */
export function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true
  if (typeof one !== 'object' || typeof other !== 'object') return false
  if (one === null || other === null) return false
  if (one instanceof Uint8Array || other instanceof Uint8Array) {
    if (!(one instanceof Uint8Array && other instanceof Uint8Array)) return false
    return Buffer.compare(one, other) === 0
  }
  if (Array.isArray(one) !== Array.isArray(other)) return false
  const keys = Object.keys(one)
  if (keys.length !== Object.keys(other).length) return false
  return keys.every(
    (key) =>
      Object.hasOwn(other, key) &&
      isSame((one as Record<string, unknown>)[key], (other as Record<string, unknown>)[key]),
  )
}
