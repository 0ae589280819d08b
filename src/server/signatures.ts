/**
 * @module The keys, the policies and the thread that signatures of images are verified with.
 */
import type { Config } from '../config/config.ts'
import type { Logger } from '../observability/logger.ts'
import { SignatureCounters } from '../observability/metrics/signatures.ts'
import { systemClock } from '../runtime/clock.ts'
import type { LifeCycle } from '../runtime/life-cycle.ts'
import { systemRandom } from '../runtime/random.ts'
import { readVersion } from '../runtime/version.ts'
import { WorkerPool } from '../runtime/worker-pool.ts'
import { policyFingerprint } from '../signing/attest/statements.ts'
import type { Passed } from '../signing/attest/witness.ts'
import { Examiner } from '../signing/examiner.ts'
import { type CountVerdict, SignatureGate } from '../signing/gate.ts'
import { isNeeded, isUsed } from '../signing/needs.ts'
import { Policies, type Policy } from '../signing/policies.ts'
import { type MayPush, PullGate } from '../signing/pulls/gate.ts'
import { MirroredImages } from '../signing/pulls/mirrored.ts'
import { fingerprintOf, Standings } from '../signing/pulls/standings.ts'
import { type Puller, PullViolations } from '../signing/pulls/violations.ts'
import { Revoked, revocationsMax } from '../signing/revoked.ts'
import { Signatures } from '../signing/signatures.ts'
import { factsOf, rootAgeDaysMax, TrustFiles } from '../signing/trust.ts'
import type { Storage } from '../storage/open.ts'
import { type OpenedAttestor, openAttestor } from './attest.ts'
import { mirroredBy } from './mirrors.ts'

/** Bound of the heap of the thread, MiB: what strangers attach is parsed there. */
const heapMiB = 512

export interface OpenedSignatures {
  readonly signatures: Signatures
  readonly standings: Standings
  readonly revoked: Revoked
  readonly violations: PullViolations
  readonly gate: SignatureGate
  /** The gate before pulls; `mayPush` undefined: access control is off. */
  readonly pullGate: <P extends Puller>(mayPush: MayPush<P>) => PullGate<P>
  /** What policies say of what mirrors bring. */
  readonly mirrorGate: MirroredImages
  /** What the gates have said so far. */
  readonly counters: SignatureCounters
  /** Undefined: the registry signs nothing itself. */
  readonly attest: OpenedAttestor | undefined
}

/**
 * Follows the files of keys, roots and stores. The thread starts with the first question. Rejects when one of them
 * cannot be used that an enforced policy rests on.
 */
export async function openSignatures(
  config: Config,
  { metadata, blobs }: Pick<Storage, 'metadata' | 'blobs'>,
  logger: Pick<Logger, 'info' | 'warn' | 'error'>,
  life: LifeCycle,
): Promise<OpenedSignatures> {
  const { signing } = config
  const trust = await openTrust(signing, logger, life, () => standings.renew())
  let pool: WorkerPool | undefined
  const examiner = new Examiner(() => {
    const onError = (error: Error) => logger.error({ error }, 'the thread of signatures has died')
    pool ??= new WorkerPool({
      worker: 'signature',
      threads: 1,
      tasksPerThread: 1,
      heapMiB,
      onError,
    })
    return pool.start({})
  })
  life.opened('signatures', examiner, async (one) => {
    await one.close()
    await pool?.close()
  })
  const revoked = new Revoked(metadata, signing.revoked.digests, (digest) =>
    logger.warn({ digest }, 'what is revoked lists more than is followed; the rest can be pulled'),
  )
  metadata.onApplied(revoked.effects)
  const signatures = new Signatures({
    metadata,
    readBlob: (digest, bytesMax) => blobs.read(digest, bytesMax),
    trust: () => trust.now,
    isBroken: (rules) => trust.broken.some((one) => isUsed(one, rules, signing.stores)),
    policies: new Policies(signing.policies),
    isRevoked: (digest) => revoked.of(digest) !== undefined,
    examine: (request) => examiner.examine(request),
  })
  const counters = new SignatureCounters(() => trust.rootAges)
  const counts: CountVerdict = (...verdict) => counters.count(...verdict)
  const clock = systemClock
  // What is revoked lends nothing to an index that lists it, nor to what it lists.
  const facts = () => [
    factsOf(trust.now),
    signing.revoked.digests,
    metadata.keys('revoked', [], undefined, revocationsMax),
  ]
  const standings = new Standings({
    metadata,
    signatures,
    fingerprint: (policy) => fingerprintOf(policy, facts(), readVersion()),
    clock,
    random: systemRandom,
    counts: (result) => counters.looked(result),
    took: (seconds) => counters.took(seconds),
  })
  metadata.onApplied(standings.effects)
  metadata.onDoubt(() => {
    standings.clear()
    revoked.renew()
  })
  revoked.onChange(() => standings.renew())
  life.opened('verdicts of signatures', standings, (one) => one.stop())
  const violations = new PullViolations(metadata, clock)
  life.opened('violations of pulls', violations, (one) => one.stop())
  violations.start()
  counters.waiting = () => standings.waiting
  const fingerprint = (policy: Policy) => policyFingerprint(policy, trust.now)
  const attesting = { fingerprint, signatures }
  const attest = await openAttestor(config, attesting, counters, logger, life)
  const passed = attest && ((it: Passed) => attest.attestor.passed(it))
  const gate = new SignatureGate(signatures, revoked, counts, passed)
  const isMirrored = mirroredBy(config)
  const parts = { signatures, standings, revoked, violations, isMirrored, clock, counts }
  const pullGate: OpenedSignatures['pullGate'] = (mayPush) => new PullGate(parts, mayPush)
  const mirrorGate = new MirroredImages({ metadata, signatures, standings, revoked, clock })
  const gates = { gate, pullGate, mirrorGate }
  return { signatures, standings, revoked, violations, ...gates, counters, attest }
}

async function openTrust(
  signing: Config['signing'],
  logger: Pick<Logger, 'error' | 'warn'>,
  life: LifeCycle,
  onChange: () => void,
): Promise<TrustFiles> {
  const trust = new TrustFiles({
    config: signing,
    isNeeded: (one) => isNeeded(one, signing),
    onProblem: ({ kind, name }, error) =>
      logger.error(
        { kind, name, reason: error.message },
        'what signatures are verified with cannot be read; it counts for nothing until it can',
      ),
    onChange,
    now: () => systemClock.now(),
  })
  life.opened('signing keys of images', trust, (one) => one.stop())
  await trust.start()
  for (const [root, seconds] of trust.rootAges) {
    if (seconds < rootAgeDaysMax * 86_400) continue
    logger.warn(
      { root, days: Math.floor(seconds / 86_400) },
      'a trusted root is old; signatures of newer logs are not verified by it',
    )
  }
  return trust
}
