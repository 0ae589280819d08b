/**
 * @module The gate before a pull: what the policy of a repository, and the list of what is revoked, say of a manifest
 * that is asked for. Asked where an answer is prepared: what it says goes with the answer, so a verified image costs
 * one comparison a pull, and a repository without a policy nothing.
 */
import type { Digest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/errors.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { namesakeOf } from '../../registry/named-tag.ts'
import type { Tag } from '../../registry/tag.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { CountVerdict } from '../gate.ts'
import type { Gate, Policy } from '../policies.ts'
import { refusal, revokedRefusal, unknownMessage } from '../refusal.ts'
import type { Revoked } from '../revoked.ts'
import type { Signatures } from '../signatures.ts'
import type { Seal, Standing, Standings } from './standings.ts'
import type { Puller, PullViolations, Violating } from './violations.ts'

/** How long a pull waits for the verdict, ms. */
export const pullWaitMs = 2_000

/** Longest list of signers in the header, characters. */
const signersMax = 256

export interface PulledManifest {
  readonly repository: RepositoryName
  readonly digest: Digest
  /** When it was pushed to the repository, ms since 1970. */
  readonly pushedAt: number
  /** That it is asked for by; undefined: by its digest. */
  readonly tag?: Tag
}

/** What goes with the answer to a pull, whatever it is. */
export interface PullVerdict {
  /** `X-FastRegistry-Signature`; undefined: there is nothing to say. */
  readonly header: string | undefined
  /** For the client, although the answer is given. */
  readonly warning: string | undefined
  /** Of a GET. A HEAD is never refused: its answer is the only place where many clients look for the reason. */
  readonly refusal: RegistryError | undefined
  /**
   * `all`: the same answer is right for everybody, until the seal is broken. `asked`: it has to be asked for each time, but
   * caches of others may have it as long as they ask. `caller`: it is for this caller alone.
   */
  readonly isFor: 'all' | 'asked' | 'caller'
  readonly seal: Seal | undefined
  /** The answer is good until then, on the monotonic clock; may be infinite. */
  readonly validUntil: number
  /** Whether it may be refused at any later time, so that no cache may keep it without asking. */
  readonly isGated: boolean
}

/** Whether a caller may push to a repository, by the access rules; undefined: access control is off. */
export type MayPush<P extends Puller> =
  | ((puller: P, repository: RepositoryName) => boolean)
  | undefined

export interface PullGateParts {
  readonly signatures: Pick<Signatures, 'governing'>
  readonly standings: Pick<Standings, 'known' | 'find' | 'later'>
  readonly revoked: Pick<Revoked, 'of'>
  readonly violations: Pick<PullViolations, 'note'>
  /** Whether what is in it came from another registry. */
  readonly isMirrored: (repository: RepositoryName) => boolean
  readonly clock: Clock
  readonly counts: CountVerdict
}

/** `P`: a request, for those who know more of it. */
export class PullGate<P extends Puller> {
  readonly #parts: PullGateParts
  readonly #mayPush: MayPush<P>

  constructor(parts: PullGateParts, mayPush: MayPush<P>) {
    this.#parts = parts
    this.#mayPush = mayPush
  }

  /**
   * What is said of a pull. Undefined: nothing, nobody governs it. A promise: wait for it, at most until `deadline` of
   * the monotonic clock, and ask again with what it resolves to as the deadline, because everything may have changed.
   */
  look(
    it: PulledManifest,
    puller: P,
    deadline: number | undefined,
  ): PullVerdict | Promise<number> | undefined {
    const { signatures, standings, revoked } = this.#parts
    const { repository, digest } = it
    const policy = signatures.governing(repository)
    const revocation = revoked.of(digest)
    if (revocation !== undefined) {
      this.#count(policy, 'pull', puller, 'revoked', true)
      const error = revokedRefusal(policy, { repository, digest, gate: 'pull' }, revocation)
      return { ...NOTHING, header: headerOf('revoked', policy?.name), refusal: error }
    }
    if (policy === undefined) return undefined
    const standing = standings.known(policy, repository, digest)
    if (standing !== undefined) return this.#judge(policy, it, standing, puller)
    if (this.#gateOf(policy, repository) === undefined) {
      // Nobody waits for a header.
      standings.later(repository, digest)
      return { ...NOTHING, isGated: false }
    }
    puller.keepAddress()
    const now = this.#parts.clock.monotonic()
    const until = deadline ?? now + pullWaitMs
    if (now < until) return this.#wait(policy, it, until, now)
    return this.#unknown(policy, it, puller)
  }

  /** Resolves to the deadline, or to one that is over when there is nothing to wait for any more. */
  async #wait(
    policy: Policy,
    { repository, digest }: PulledManifest,
    until: number,
    now: number,
  ): Promise<number> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<number>((resolve) => {
      timer = setTimeout(resolve, until - now, OVER)
    })
    const found = this.#parts.standings.find(policy, repository, digest).then(
      // Of what cannot be judged nothing is ever known: who asked again at once would ask for ever.
      (isJudged) => (isJudged ? until : OVER),
      () => OVER,
    )
    try {
      return await Promise.race([found, late])
    } finally {
      clearTimeout(timer)
    }
  }

  #judge(policy: Policy, it: PulledManifest, standing: Standing, puller: P): PullVerdict {
    const { seal, state, by, validUntil } = standing
    const gate = this.#gateOf(policy, it.repository)
    const isGated = gate !== undefined
    if (state === 'exempt') {
      const { tag } = it
      if (!isGated || tag === undefined || namesakeOf(tag) !== undefined) {
        return { ...NOTHING, isFor: 'all', seal, isGated: false }
      }
      // Whoever deploys a tag gets an image, and what only calls itself a signature is none that is verified.
      const message = `signature policy "${policy.name}": ${it.digest} is no image but signatures, and ${tag} is not named after what they sign`
      const said = { state: 'unsigned', message, tried: [] } as const
      return this.#missing(policy, { ...it, ...said }, puller, NOTHING)
    }
    const verdict = {
      ...NOTHING,
      isGated,
      isFor: 'all',
      seal,
      validUntil: this.#monotonic(validUntil),
      header: headerOf(state, policy.name, by),
    } as const
    if (state === 'verified' || !isGated) {
      if (isGated) this.#count(policy, gate, puller, state, false)
      return verdict
    }
    const openUntil = openUntilOf(policy, it)
    if (this.#parts.clock.now() < openUntil) {
      return { ...verdict, validUntil: this.#monotonic(Math.min(validUntil, openUntil)) }
    }
    return this.#missing(policy, { ...it, ...standing, state }, puller, {
      ...verdict,
      isFor: 'asked',
      seal: undefined,
    })
  }

  /** The verdict could not be had in time. */
  #unknown(policy: Policy, it: PulledManifest, puller: P): PullVerdict {
    const busy = new RegistryError('SIGNATURES_BUSY')
    const message = unknownMessage(policy, busy)
    const said = { state: 'error', message, tried: [] } as const
    const verdict = { ...NOTHING, header: headerOf('error', policy.name) }
    if (this.#parts.clock.now() < openUntilOf(policy, it)) return verdict
    return this.#missing(policy, { ...it, ...said }, puller, verdict, busy)
  }

  #missing(
    policy: Policy,
    it: Violating,
    puller: P,
    verdict: PullVerdict,
    error?: RegistryError,
  ): PullVerdict {
    if (puller.method !== 'GET') return verdict
    if (this.#isExempt(policy, it.repository, puller)) return { ...verdict, isFor: 'caller' }
    const isRefused = policy.mode === 'enforce'
    const gate = this.#gateOf(policy, it.repository) ?? 'pull'
    this.#count(policy, gate, puller, it.state, isRefused)
    this.#parts.violations.note(policy, it, puller)
    if (isRefused) return { ...verdict, refusal: error ?? refusal(policy, { ...it, gate }) }
    return policy.mode === 'warn' ? { ...verdict, warning: it.message } : verdict
  }

  /** The gate that a pull passes there; undefined: none. */
  #gateOf({ gates }: Policy, repository: RepositoryName): 'pull' | 'mirror' | undefined {
    if (gates.has('pull')) return 'pull'
    return gates.has('mirror') && this.#parts.isMirrored(repository) ? 'mirror' : undefined
  }

  #monotonic(time: number): number {
    const { clock } = this.#parts
    return clock.monotonic() + time - clock.now()
  }

  #isExempt({ exempt }: Policy, repository: RepositoryName, puller: P): boolean {
    const { caller } = puller
    const isNamed =
      (caller.kind === 'user' && exempt.users.has(caller.name)) ||
      caller.groups.some((group) => exempt.groups.has(group))
    return isNamed || (exempt.pushers && this.#mayPush?.(puller, repository) === true)
  }

  #count(
    policy: Policy | undefined,
    gate: Gate,
    puller: P,
    state: Parameters<CountVerdict>[2],
    isRefused: boolean,
  ): void {
    if (puller.method === 'GET') this.#parts.counts(policy?.name ?? '', gate, state, isRefused)
  }
}

/** Until when everybody may pull it, verified or not, ms since 1970. */
export function openUntilOf(
  { exempt, graceMs }: Policy,
  { digest, pushedAt }: Pick<PulledManifest, 'digest' | 'pushedAt'>,
): number {
  return exempt.digests.has(digest) ? Number.POSITIVE_INFINITY : pushedAt + graceMs
}

/** A deadline that is over. */
const OVER = 0

const NOTHING: PullVerdict = {
  header: undefined,
  warning: undefined,
  refusal: undefined,
  isFor: 'asked',
  seal: undefined,
  validUntil: Number.POSITIVE_INFINITY,
  isGated: true,
}

function headerOf(state: string, policy: string | undefined, by: readonly string[] = []): string {
  const parts = [state]
  if (policy !== undefined) parts.push(`policy="${quotable(policy)}"`)
  if (by.length > 0) parts.push(`by="${quotable(by.join(', '))}"`)
  return parts.join('; ')
}

/** Names of signers may be those of certificates, which may hold anything. */
function quotable(text: string): string {
  return text.slice(0, signersMax).replaceAll(/[^\x20-\x7e]|["\\]/g, '?')
}
