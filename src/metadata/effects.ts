/**
 * @module What a transaction changed, in the words of the domain: the one place that reads this out of its
 * changes and the outcome of its sweep, so that no listener knows a table. Nothing is made for it: a push
 * of a manifest with sixty layers is two hundred changes, and each effect is one call.
 */
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Candidate, SweepBatch, Verdict } from './sweep.ts'
import type { Check, CommitOutcome, MoveTag, SingleChange, Transaction } from './transaction.ts'
import type { DroppedVerdict } from './verdicts/drops.ts'

/** Called when reads see the change and before its caller hears of it; all of it is optional. */
export interface EffectListener {
  /** A tag points elsewhere, or is gone; a mirror's note of what its upstream's tag was, too. */
  tag?(repository: RepositoryName, tag: string): void
  /** A manifest came to a repository, changed there or left it. */
  manifest?(repository: RepositoryName, digest: Digest): void
  /** A blob came to a repository or left it. */
  link?(repository: RepositoryName, digest: Digest): void
  /** Bytes of a blob or of a manifest are gone that a repository may still hold: they were damaged, or evicted. */
  bytesGone?(digest: Digest): void
  /** Something was written into the history. */
  event?(): void
  /** What a policy says of the signatures of a manifest is another verdict now, or none. */
  verdict?(repository: RepositoryName, digest: Digest): void
  /** The same, because something changed that it rested on: it has to be worked out anew. */
  unverified?(repository: RepositoryName, digest: Digest): void
  /** What nobody may pull any more is another set of digests. */
  revoked?(digest: Digest): void
  /** An upload session was opened or used; `repository` is undefined when it has ended. */
  session?(id: string, repository: RepositoryName | undefined): void
  /** Once for a transaction that changed more than this node's own numbers. */
  anything?(): void
}

/** Tells `listener` what an applied transaction changed. */
export function tellEffects(
  { checks, changes }: Transaction,
  { verdicts = [], dropped }: Extract<CommitOutcome, { applied: true }>,
  listener: EffectListener,
): void {
  for (const change of changes) {
    if (change.change === 'sweep') tellSweep(change.batch, verdicts, listener)
    else if (change.change === 'move-tag') tellMove(change, listener)
    else tellChange(change, checks, listener)
  }
  if (dropped !== undefined) tellDropped(dropped, listener)
  if (listener.anything === undefined) return
  if (changes.some((it) => it.in !== 'system')) listener.anything()
}

function tellDropped(dropped: readonly DroppedVerdict[], listener: EffectListener): void {
  for (const [repository, digest] of dropped) {
    listener.verdict?.(repository, digest)
    listener.unverified?.(repository, digest)
  }
}

/** That the manifest which lost the tag was raised changes nothing that is seen. */
function tellMove({ key }: MoveTag, listener: EffectListener): void {
  listener.tag?.(key[0], key[1])
  listener.event?.()
}

function tellSweep(
  { candidates }: SweepBatch,
  verdicts: readonly Verdict[],
  listener: EffectListener,
): void {
  const staying = new Set<number>()
  for (const verdict of verdicts) if (verdict.is === 'stays') staying.add(verdict.index)
  for (const [index, candidate] of candidates.entries()) {
    if (!staying.has(index)) tellSwept(candidate, listener)
  }
  listener.event?.()
}

function tellSwept(candidate: Candidate, listener: EffectListener): void {
  switch (candidate.kind) {
    case 'tag':
      return listener.tag?.(candidate.repository, candidate.tag)
    case 'manifest':
      return listener.manifest?.(candidate.repository, candidate.digest)
    case 'link':
      return listener.link?.(candidate.repository, candidate.digest)
    default:
      // Blobs and bytes go after everything that named them.
      return
  }
}

function tellChange(
  change: SingleChange,
  checks: readonly Check[],
  listener: EffectListener,
): void {
  // Being relied on changes nothing that anybody sees.
  if (change.change === 'raise') return
  switch (change.in) {
    case 'mirrorTags':
    case 'tags':
      return listener.tag?.(change.key[0], change.key[1])
    case 'manifests':
      return listener.manifest?.(change.key[0], change.key[1])
    case 'links':
      return listener.link?.(change.key[0], change.key[1])
    case 'blobs':
      if (change.change === 'delete' && !isNone(checks, 'holders')) listener.bytesGone?.(change.key)
      return
    case 'manifestBytes':
      if (change.change === 'delete' && !isNone(checks, 'manifestHolders')) {
        listener.bytesGone?.(change.key)
      }
      return
    case 'events':
      return listener.event?.()
    case 'verdicts':
      return listener.verdict?.(change.key[0], change.key[1])
    case 'revoked':
      return listener.revoked?.(change.key)
    case 'uploads':
      return listener.session?.(
        change.key,
        change.change === 'delete' ? undefined : change.row.repository,
      )
    default:
      return
  }
}

/** No repository holds it: every path that could rest on it went with its link. */
function isNone(checks: readonly Check[], database: 'holders' | 'manifestHolders'): boolean {
  return checks.some((check) => check.check === 'none' && check.in === database)
}

/** One call of a listener, as data: for another thread. */
export type Effect = {
  [K in keyof EffectListener]-?: readonly [K, ...Parameters<NonNullable<EffectListener[K]>>]
}[keyof EffectListener]

/** What an applied transaction changed, in the order in which `tellEffects` tells it. */
export function effectsOf(
  it: Transaction,
  outcome: Extract<CommitOutcome, { applied: true }>,
): Effect[] {
  const effects: Effect[] = []
  tellEffects(it, outcome, {
    tag: (...words) => effects.push(['tag', ...words]),
    manifest: (...words) => effects.push(['manifest', ...words]),
    link: (...words) => effects.push(['link', ...words]),
    bytesGone: (...words) => effects.push(['bytesGone', ...words]),
    event: () => effects.push(['event']),
    verdict: (...words) => effects.push(['verdict', ...words]),
    unverified: (...words) => effects.push(['unverified', ...words]),
    revoked: (...words) => effects.push(['revoked', ...words]),
    session: (...words) => effects.push(['session', ...words]),
    anything: () => effects.push(['anything']),
  })
  return effects
}

/** Tells a listener what `effectsOf` has noted. */
export function retellEffects(effects: readonly Effect[], listener: EffectListener): void {
  for (const [kind, ...words] of effects) {
    const hear = listener[kind] as ((...words: readonly unknown[]) => void) | undefined
    hear?.apply(listener, words)
  }
}
