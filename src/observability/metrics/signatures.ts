/**
 * @module The metrics of signatures: what the policies said of tags that were to move, and how old the trusted roots
 * are. Labels are bounded by the configuration (policies, roots) and by fixed lists (gates, states).
 */
import { Counts } from './counts.ts'
import type { LabelledRow, Metrics } from './metrics.ts'

export class SignatureCounters {
  readonly checks = new Counts()
  readonly denied = new Counts()
  readonly #rootAges: () => ReadonlyMap<string, number>

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
}

export function declareSignatureMetrics(
  metrics: Metrics,
  { checks, denied, rootAges }: SignatureCounters,
): void {
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
    'Tags that a signature policy did not let move.',
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
}
