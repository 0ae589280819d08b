/**
 * @module What policies say of the manifests that are pulled, kept: a row of `verdicts` each, and in memory what was
 * asked lately. It is never older than what it rests on:
 *
 *   evidence   its change takes the force from the row, in the same transaction (`metadata/verdicts/drops.ts`), and
 *              breaks the seal of every answer that was prepared by it, before the writer hears of it
 *   policy     `judgedBy` of the row is another fingerprint; `renew` breaks all seals
 *   time       `validUntil`
 *
 * A verdict that is being worked out has a row from before the first look at the evidence: the one that it replaces,
 * or one of its own. Only if that row is still the same is the verdict written.
 */
import { createHash } from 'node:crypto'
import { recordEvent } from '../../metadata/edits.ts'
import type { EffectListener } from '../../metadata/effects.ts'
import type { MetadataStore } from '../../metadata/port.ts'
import type { Change } from '../../metadata/transaction.ts'
import type { TriedRow, VerdictRow, VerdictState } from '../../metadata/verdicts/rows.ts'
import type { Digest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/errors.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Clock } from '../../runtime/clock.ts'
import { type Random, randomHexId } from '../../runtime/random.ts'
import { SingleFlight } from '../../runtime/single-flight.ts'
import { exemptibleOf } from '../exemption.ts'
import type { Policy } from '../policies.ts'
import { messageOf, triedMax, triedOf } from '../refusal.ts'
import type { SignatureReport, Signatures } from '../signatures.ts'

/** Of answers that were prepared by one verdict: broken, they are not sent any more. */
export interface Seal {
  isBroken: boolean
}

/** What the policy of a repository says of a manifest. */
export interface Standing {
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly policy: Policy
  readonly seal: Seal
  /** `exempt`: a signature, attestation or SBOM, or a list of these: no policy asks for signatures of signatures. */
  readonly state: VerdictState | 'exempt'
  readonly by: readonly string[]
  /** It says nothing from then on, ms since 1970; may be infinite. */
  readonly validUntil: number
  /** For the client, where it is not verified. */
  readonly message: string
  readonly tried: readonly TriedRow[]
}

/** Manifests that are known in memory: about as many as there are prepared answers. */
const knownMax = 50_000

/** Manifests that wait to be judged anew in the background; more wait for their next pull. */
const queueMax = 1_000

/** Times that one verdict is begun again because its evidence changed meanwhile. */
const attemptsMax = 3

/** How long a verdict other than `verified` holds, ms: what is missing may come by ways that leave no trace here. */
const unverifiedMs = 5 * 60_000

/** Longest text of a row, characters. */
const textMax = 512

export interface StandingParts {
  readonly metadata: MetadataStore
  readonly signatures: Pick<Signatures, 'report' | 'governing' | 'sources'>
  readonly fingerprint: (policy: Policy) => string
  readonly clock: Clock
  readonly random: Random
  /** Hears where each answer came from: memory and store, work, or work because the stored one was out of date. */
  readonly counts: (result: 'hit' | 'miss' | 'stale') => void
  /** Hears how long each verdict took, s. */
  readonly took: (seconds: number) => void
}

export interface ShownVerdict {
  readonly state: string
  /** Names of signers. */
  readonly by: readonly string[]
  readonly policy: string
}

export class Standings {
  readonly #parts: StandingParts
  readonly #known = new Map<string, Standing>()
  readonly #flights = new SingleFlight<boolean>()
  readonly #queue = new Map<string, readonly [RepositoryName, Digest]>()
  readonly #fingerprints = new Map<Policy, string>()
  #working: Promise<void> | undefined
  #isStopped = false

  constructor(parts: StandingParts) {
    this.#parts = parts
  }

  readonly effects: EffectListener = {
    verdict: (repository, digest) => this.#forget(keyOf(repository, digest)),
    unverified: (repository, digest) => this.later(repository, digest),
  }

  /** Verdicts that are worked out now or wait for it. */
  get waiting(): number {
    return this.#flights.size + this.#queue.size
  }

  /** What the policy says, where that is known; undefined: `find` has to work it out. Never older than a commit. */
  known(policy: Policy, repository: RepositoryName, digest: Digest): Standing | undefined {
    const key = keyOf(repository, digest)
    const now = this.#parts.clock.now()
    const before = this.#known.get(key)
    if (before !== undefined) {
      if (before.policy === policy && now < before.validUntil) {
        this.#parts.counts('hit')
        return before
      }
      this.#forget(key)
    }
    const row = this.#parts.metadata.get('verdicts', [repository, digest])
    if (row === undefined || row.state === 'pending') {
      this.#parts.counts('miss')
      return undefined
    }
    const isCurrent = row.judgedBy === this.#fingerprint(policy)
    if (!isCurrent || now >= (row.validUntil ?? Number.POSITIVE_INFINITY)) {
      this.#parts.counts('stale')
      return undefined
    }
    this.#parts.counts('hit')
    return this.#remember(key, standingOf({ repository, digest, policy }, row, row.state))
  }

  /** What is known of a manifest by now, for people: nothing is worked out. Undefined: no policy, or no verdict yet. */
  shown(repository: RepositoryName, digest: Digest): ShownVerdict | undefined {
    const policy = this.#parts.signatures.governing(repository)
    const row = policy && this.#parts.metadata.get('verdicts', [repository, digest])
    if (row === undefined || row.state === 'pending') return undefined
    const { state, by, judgedBy, validUntil = Number.POSITIVE_INFINITY } = row
    const isCurrent =
      judgedBy === this.#fingerprint(policy!) && this.#parts.clock.now() < validUntil
    return isCurrent ? { state, by, policy: policy!.name } : undefined
  }

  /**
   * Works out what the policy says, once for all who ask meanwhile; then `known` has it, unless it has changed since.
   * False: there is nothing that could be judged, so it is no use to ask again. Rejects with SIGNATURES_BUSY when that is not possible now.
   */
  find(policy: Policy, repository: RepositoryName, digest: Digest): Promise<boolean> {
    const key = keyOf(repository, digest)
    return this.#flights.run(key, () => this.#find(policy, repository, digest))
  }

  /** Works it out in the background, unless too much waits. */
  later(repository: RepositoryName, digest: Digest): void {
    if (this.#isStopped || this.#queue.size >= queueMax) return
    this.#queue.set(keyOf(repository, digest), [repository, digest])
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined
    })
  }

  /** Keys or other things that every policy depends on have changed. What was in use lately is judged anew. */
  renew(): void {
    this.#fingerprints.clear()
    const known = [...this.#known.values()]
    this.clear()
    for (const { repository, digest } of known.slice(-queueMax)) this.later(repository, digest)
  }

  /** Forgets what is in memory, and breaks every seal: what was committed is not known. */
  clear(): void {
    for (const key of [...this.#known.keys()]) this.#forget(key)
  }

  /** Waits for what is under way; nothing is begun any more. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#queue.clear()
    await this.#working
  }

  async #work(): Promise<void> {
    // The client whose change it is hears of it first.
    await new Promise((resolve) => setImmediate(resolve))
    for (const [key, [repository, digest]] of this.#queue) {
      this.#queue.delete(key)
      const policy = this.#parts.signatures.governing(repository)
      if (policy === undefined) continue
      // Whoever pulls it hears what is wrong.
      await this.find(policy, repository, digest).catch(() => undefined)
    }
  }

  async #find(policy: Policy, repository: RepositoryName, digest: Digest): Promise<boolean> {
    const { metadata, signatures, clock } = this.#parts
    const key = [repository, digest] as const
    await metadata.pageIn('manifestBytes', digest)
    const bytes = metadata.getBytes('manifestBytes', digest)?.slice()
    if (bytes === undefined) return false
    if ((await exemptibleOf(signatures.sources, repository, bytes)) !== undefined) {
      this.#remember(keyOf(repository, digest), exemptStanding({ repository, digest, policy }))
      return true
    }
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const judgedBy = this.#fingerprint(policy)
      const before = metadata.get('verdicts', key)
      // A verdict that stands is lost with its evidence as well: it goes on being good until there is a newer one.
      const token =
        before === undefined || before.state === 'pending' ? this.#pending(before) : before
      if (token !== before) {
        const { applied } = await metadata.commit({
          checks: [{ check: 'present', in: 'manifests', key }],
          changes: [{ change: 'put', in: 'verdicts', key, row: token }],
        })
        if (!applied) return false
      }
      const begunAt = clock.monotonic()
      const report = await signatures.report(repository, digest, { policy, isGate: true })
      this.#parts.took((clock.monotonic() - begunAt) / 1000)
      if (report === undefined) return false
      // Keys have changed since: what was said by the old ones is not written down as said by the new.
      if (judgedBy !== this.#fingerprint(policy)) continue
      const row = this.#rowOf(policy, report, judgedBy)
      const { applied } = await metadata.commit({
        checks: [{ check: 'unchanged', in: 'verdicts', key, row: token }],
        changes: [{ change: 'put', in: 'verdicts', key, row }],
      })
      if (!applied) continue
      // By itself: verdicts are rows of this node, and the history is the same on every one.
      const was = token.state === 'pending' ? token.was : token.state
      const changes = changedEvent(policy, key, was, row)
      if (changes.length > 0) await metadata.commit({ checks: [], changes })
      return true
    }
    throw new RegistryError('SIGNATURES_BUSY')
  }

  /** Of this attempt alone: no other one, of this run or of one before a crash, has the same. */
  #pending(before: VerdictRow | undefined): VerdictRow {
    const { clock, random } = this.#parts
    const was = before?.was
    return {
      state: 'pending',
      judgedBy: randomHexId(random),
      by: [],
      rests: [],
      at: clock.now(),
      ...(was !== undefined && { was }),
    }
  }

  #rowOf(policy: Policy, report: SignatureReport, judgedBy: string): VerdictRow {
    const { by, findings } = report
    const at = this.#parts.clock.now()
    const rests = report.rests.map(({ manifest, tag }) => ({
      manifest,
      ...(tag !== undefined && { tag }),
    }))
    // What is revoked is judged by nobody: whoever asks hears that first.
    if (report.state === 'revoked') throw new RegistryError('SIGNATURES_BUSY')
    const row = { state: report.state, judgedBy, by, rests, at }
    const { validUntil } = report
    if (report.state === 'verified')
      return { ...row, ...(validUntil !== undefined && { validUntil }) }
    const tried = findings.slice(0, triedMax).map((it) => clipped(triedOf(it)))
    const message = messageOf(policy, report).slice(0, textMax)
    return { ...row, validUntil: at + unverifiedMs, message, tried }
  }

  #fingerprint(policy: Policy): string {
    let fingerprint = this.#fingerprints.get(policy)
    if (fingerprint === undefined) {
      fingerprint = this.#parts.fingerprint(policy)
      this.#fingerprints.set(policy, fingerprint)
    }
    return fingerprint
  }

  #remember(key: string, standing: Standing): Standing {
    if (this.#known.size >= knownMax) this.clear()
    this.#forget(key)
    this.#known.set(key, standing)
    return standing
  }

  #forget(key: string): void {
    const standing = this.#known.get(key)
    if (standing === undefined) return
    standing.seal.isBroken = true
    this.#known.delete(key)
  }
}

/**
 * One word for everything that a verdict depends on beside the evidence: the rules of a policy, the keys and whatever
 * else is trusted (plain data), and the version of the program, which may judge otherwise than the one before.
 */
export function fingerprintOf(policy: Policy, trust: unknown, version: string): string {
  const { name, rules, takesChildren, takesProvenance } = policy
  const facts = [name, rules, takesChildren, takesProvenance, trust, version]
  const text = JSON.stringify(facts, sorted)
  return createHash('sha256').update(text).digest('base64url')
}

function sorted(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1))
  return Object.fromEntries(entries)
}

function keyOf(repository: RepositoryName, digest: Digest): string {
  return `${repository}@${digest}`
}

type About = Pick<Standing, 'repository' | 'digest' | 'policy'>

function standingOf(about: About, row: VerdictRow, state: VerdictState): Standing {
  const { by, validUntil = Number.POSITIVE_INFINITY, message = '', tried = [] } = row
  return { ...about, seal: { isBroken: false }, state, by, validUntil, message, tried }
}

function exemptStanding(about: About): Standing {
  const nothing = { by: [], validUntil: Number.POSITIVE_INFINITY, message: '', tried: [] }
  return { ...about, seal: { isBroken: false }, state: 'exempt', ...nothing }
}

function clipped(tried: TriedRow): TriedRow {
  const entries = Object.entries(tried).map(([name, text]) => [name, text.slice(0, textMax)])
  return Object.fromEntries(entries) as TriedRow
}

/** Nothing where it is the first verdict, or the same as before. */
function changedEvent(
  { name }: Policy,
  [repository, digest]: readonly [RepositoryName, Digest],
  was: VerdictState | undefined,
  { state, at }: VerdictRow,
): Change[] {
  if (was === undefined || was === state) return []
  const why = `signature policy "${name}": ${was} before, ${state} now`
  return [recordEvent({ at, action: 'verdict-changed', repository, by: 'signatures', digest, why })]
}
