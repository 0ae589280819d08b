/**
 * @module The metrics of signatures: what the policies said of tags that were to move and of pulls, and how old the trusted
 * roots are. Labels are bounded by the configuration (policies, roots) and by fixed lists (gates, states).
 */
import { Counts } from './counts.ts'
import type { HistogramRow, LabelledRow, Metrics } from './metrics.ts'

/** Upper bounds of the histogram, seconds. */
const tookBounds = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 5]

export class SignatureCounters {
  readonly checks = new Counts()
  readonly denied = new Counts()
  /** What the registry was to sign itself. */
  readonly attested = new Counts()
  /** Where verdicts came from that pulls asked for. */
  readonly looks = new Counts()
  /** How many verdicts took at most each bound, and the last one all. */
  readonly #buckets = [...tookBounds.map(() => 0), 0]
  readonly #rootAges: () => ReadonlyMap<string, number>
  #seconds = 0
  /** Verdicts that are worked out, or wait for it. */
  waiting = () => 0

  /** `rootAges`: seconds by the names of trusted roots. */
  constructor(rootAges: () => ReadonlyMap<string, number>) {
    this.#rootAges = rootAges
  }

  rootAges = (): readonly LabelledRow[] =>
    [...this.#rootAges()].map(([root, value]) => ({ labels: { root }, value }))

  /** One verdict. */
  count(policy: string, gate: string, state: string, isRefused: boolean): void {
    this.checks.add({ policy, gate, state })
    if (isRefused) this.denied.add({ policy, gate })
  }

  /** A pull asked for a verdict. */
  looked(result: 'hit' | 'miss' | 'stale'): void {
    this.looks.add({ result })
  }

  /** One was worked out. */
  took(seconds: number): void {
    this.#seconds += seconds
    for (const at of this.#buckets.keys()) {
      if (seconds <= (tookBounds[at] ?? Number.POSITIVE_INFINITY)) this.#buckets[at]! += 1
    }
  }

  verifySeconds = (): readonly HistogramRow[] => [
    { labels: {}, buckets: [...this.#buckets], sum: this.#seconds },
  ]
}

export function declareSignatureMetrics(metrics: Metrics, counters: SignatureCounters): void {
  const { checks, denied, looks, rootAges, attested } = counters
  metrics.table(
    'counter',
    'fastregistry_signature_checks_total',
    'Images that a signature policy was asked about, by its verdict.',
    ['policy', 'gate', 'state'],
    checks.rows,
  )
  metrics.table(
    'counter',
    'fastregistry_signature_denied_total',
    'Moves of tags, copies and pulls that a signature policy refused.',
    ['policy', 'gate'],
    denied.rows,
  )
  metrics.table(
    'gauge',
    'fastregistry_signing_root_age_seconds',
    'Time since a trusted root was written, or its newest key began, whichever is later.',
    ['root'],
    rootAges,
  )
  metrics.table(
    'counter',
    'fastregistry_signature_verdict_cache_total',
    'Pulls that asked for a verdict, by whether it was there: hit, miss, stale. Prepared answers do not ask.',
    ['result'],
    looks.rows,
  )
  metrics.table(
    'gauge',
    'fastregistry_signature_queue',
    'Verdicts that are worked out or wait for it.',
    [],
    () => [{ labels: {}, value: counters.waiting() }],
  )
  metrics.histogram(
    'fastregistry_signature_verify_seconds',
    'How long a verdict of a pull took.',
    tookBounds,
    counters.verifySeconds,
  )
  metrics.table(
    'counter',
    'fastregistry_signing_attestations_total',
    'What the registry was to sign itself (vsa, push, promotion, mirror, countersignature), by what came of it (written, present, skipped, failed, dropped).',
    ['kind', 'result'],
    attested.rows,
  )
}
