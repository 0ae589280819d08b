/**
 * @module What an applied entry means to the copies of blobs on one member's disk: which of its pins were used or
 * are over, and which blobs lost a row that kept their files.
 */
import type { AppliedEntry } from '../entry.ts'
import type { CommitOutcome, Transaction } from '../transaction.ts'

export interface CopyNews {
  /** The member's run has come in with it. */
  readonly isPresent: boolean
  /** Pins of the run that a transaction was applied with: rows rest on these copies now. */
  readonly pinsUsed: readonly number[]
  /** Pins of the run that were revoked. */
  readonly pinsRevoked: readonly number[]
  /** Blobs that went, or left the trash, and that may have files; some of them may have come back. */
  readonly blobsLoose: readonly string[]
}

/** For one run of a member. Of an entry that was not applied there is no news. */
export function copyNewsOf(entry: AppliedEntry, member: number, boot: number): CopyNews {
  const pinsUsed: number[] = []
  const pinsRevoked: number[] = []
  const blobsLoose: string[] = []
  let isPresent = false
  const isOwn = entry.member === member && entry.boot === boot
  for (const [at, it] of entry.body.controls.entries()) {
    if (!isOwn || entry.done[at] !== true) continue
    if (it.control === 'present') isPresent = true
    if (it.control === 'revoke') pinsRevoked.push(...it.pins)
  }
  for (const [at, it] of entry.body.transactions.entries()) {
    const outcome = entry.outcomes[at]
    if (outcome?.applied !== true) continue
    pinsUsed.push(...pinsIn(it, member, boot))
    blobsLoose.push(...looseIn(it, outcome))
  }
  return { isPresent, pinsUsed, pinsRevoked, blobsLoose }
}

/** Whether there is anything in it. */
export function isCopyNews({ isPresent, pinsUsed, pinsRevoked, blobsLoose }: CopyNews): boolean {
  return isPresent || pinsUsed.length + pinsRevoked.length + blobsLoose.length > 0
}

function pinsIn({ checks }: Transaction, member: number, boot: number): number[] {
  return checks
    .flatMap((it) => (it.check === 'held' ? it.copies : []))
    .filter((copy) => copy.member === member && copy.boot === boot)
    .map(({ pin }) => pin)
}

function looseIn(
  { changes }: Transaction,
  { verdicts = [] }: Extract<CommitOutcome, { applied: true }>,
): string[] {
  return changes.flatMap((it) => {
    if (it.change === 'delete' && (it.in === 'blobs' || it.in === 'trash'))
      return [it.key as string]
    if (it.change !== 'sweep') return []
    const stays = new Set(verdicts.filter(({ is }) => is === 'stays').map(({ index }) => index))
    return it.batch.candidates
      .filter(({ kind }, index) => !stays.has(index) && (kind === 'blob' || kind === 'purged-blob'))
      .map((candidate) => (candidate as { readonly digest: string }).digest)
  })
}
