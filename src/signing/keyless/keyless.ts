/**
 * @module Verifies what is signed with a certificate that lived for minutes (keyless), by the trusted roots of the
 * configuration, without any network.
 */
import { createHash } from 'node:crypto'
import { assertNever } from '../../registry/assert-never.ts'
import type { FindingResult, SignedAt, Signer } from '../verdicts/finding.ts'
import type { Proven, SignedPart } from '../verdicts/signed.ts'
import { identityIn } from './identity.ts'
import { certificateParts, NotProven, type Root, verifyCertified, verifyKeyed } from './sigstore.ts'

/** A root of the configuration. */
export interface NamedRoot {
  readonly name: string
  readonly root: Root
  /** When its file was written, or its newest key began, whichever is later, ms since the epoch. */
  readonly renewedAt: number
}

const dayMs = 86_400_000

/** The later of these says more of a signature: a root that it has passed further into is nearer to it. */
const STEPS: readonly NotProven['step'][] = [
  'time',
  'authority',
  'expired',
  'certificate log',
  'log key',
  'log',
  'signature',
  'unreadable',
]

/**
 * Verifies a signature of a certificate (DER) by each root. `verified`: some roots prove it; whether anything names
 * that signer is another question. `now` in ms since the epoch. Throws `Unreadable`.
 */
export function byCertificate(
  roots: readonly NamedRoot[],
  der: Buffer,
  proven: Proven,
  now: number,
): SignedPart {
  const parts = certificateParts(der)
  const certificate = createHash('sha256').update(der).digest('hex')
  const identity = identityIn(parts)
  const subject = typeof identity === 'string' ? undefined : identity.subject
  const claimed: Signer = { certificate, ...(subject && { subject }) }
  if (roots.length === 0) {
    const reason = 'it is signed with a certificate, and signing.roots has no root'
    return { signer: claimed, result: 'not checked', reason }
  }
  let nearest: { readonly error: NotProven; readonly by: NamedRoot } | undefined
  let at = Number.POSITIVE_INFINITY
  const proving: string[] = []
  for (const by of roots) {
    try {
      at = Math.min(at, verifyCertified(by.root, der, proven))
      proving.push(by.name)
    } catch (error) {
      if (!(error instanceof NotProven)) throw error
      if (nearest === undefined || rankOf(error) > rankOf(nearest.error)) nearest = { error, by }
    }
  }
  if (proving.length === 0) {
    const said = wordsOf(nearest!.error, nearest!.by, now, parts.notAfter)
    return { signer: claimed, ...said }
  }
  if (typeof identity === 'string') return { signer: claimed, result: 'invalid', reason: identity }
  return {
    signer: { ...claimed, identity: { ...identity, roots: proving } },
    result: 'verified',
    signedAt: { at, by: 'trusted' },
    isLogged: true,
  }
}

/**
 * What the first root that knows its logs and authorities proves of a signature of a key, which needs none of it:
 * when it was made, and that it is in a log.
 */
export function provenOfKey(
  roots: readonly NamedRoot[],
  key: Parameters<typeof verifyKeyed>[1],
  proven: Proven,
): { readonly signedAt?: SignedAt; readonly isLogged?: true } {
  const { entries, timestamps } = proven.proofs
  if (entries.length === 0 && timestamps.length === 0) return {}
  for (const { root } of roots) {
    try {
      const { at, isLogged } = verifyKeyed(root, key, proven)
      return {
        ...(at !== undefined && { signedAt: { at, by: 'trusted' } as const }),
        ...(isLogged && { isLogged: true as const }),
      }
    } catch (error) {
      if (!(error instanceof NotProven)) throw error
    }
  }
  return {}
}

const rankOf = ({ step }: NotProven) => STEPS.indexOf(step)

function wordsOf(
  { step, message }: NotProven,
  { name, renewedAt }: NamedRoot,
  now: number,
  notAfter: number,
): { readonly result: FindingResult; readonly reason: string } {
  const days = Math.max(0, Math.floor((now - renewedAt) / dayMs))
  const age = `root ${name} is ${days} days old`
  switch (step) {
    case 'time': {
      const isNone = message.startsWith('expected')
      const reason = isNone
        ? 'no log and no authority of timestamps says when it was signed'
        : `its timestamp is not one of an authority of root ${name}`
      return { result: 'no time', reason }
    }
    case 'authority':
      return {
        result: 'unknown authority',
        reason: `root ${name} has no authority of its certificate`,
      }
    case 'expired': {
      const end = new Date(Math.min(notAfter, 8.64e15)).toISOString().slice(0, 10)
      return {
        result: 'expired',
        reason: `expired ${end}: it was signed outside of its certificate's time`,
      }
    }
    case 'certificate log':
      if (message === 'unknown') {
        return { result: 'log key unknown', reason: `certificate log key unknown (${age})` }
      }
      return { result: 'invalid', reason: 'no log of certificates vouches for its certificate' }
    case 'log key':
      return { result: 'log key unknown', reason: `log key unknown (${age})` }
    case 'log':
      if (message.startsWith('expected')) {
        return { result: 'invalid', reason: 'it is in no transparency log' }
      }
      return { result: 'invalid', reason: `its log entry does not prove it: ${message}` }
    case 'unreadable':
      return { result: 'unreadable', reason: 'the proofs of the signature cannot be read' }
    case 'signature':
      return { result: 'invalid', reason: 'the signature does not fit what it should cover' }
    default:
      return assertNever(step)
  }
}
