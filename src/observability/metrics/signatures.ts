/**
 * @module The metrics of signatures: what the policies said of tags that were to move. Labels are bounded by the
 * configuration (policies) and by fixed lists (gates, states).
 */
import { Counts } from './counts.ts'
import type { Metrics } from './metrics.ts'

export class SignatureCounters {
  readonly checks = new Counts()
  readonly denied = new Counts()

  /** One verdict. */
  count(policy: string, gate: string, state: string, isRefused: boolean): void {
    this.checks.add({ policy, gate, state })
    if (isRefused) this.denied.add({ policy, gate })
  }
}

export function declareSignatureMetrics(
  metrics: Metrics,
  { checks, denied }: SignatureCounters,
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
}
