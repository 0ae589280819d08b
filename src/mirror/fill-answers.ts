/**
 * @module What a fill reads out of upstream's answers, and how it refuses them.
 */
import { RegistryError } from '../registry/errors.ts'
import { type HttpAnswer, headerOf } from '../upstream/client.ts'
import { UpstreamError } from '../upstream/error.ts'

export function lengthOf({ headers }: HttpAnswer): number | undefined {
  const text = headerOf(headers, 'content-length')
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** The length of the whole that an answer to a range tells. */
export function totalOf({ headers }: HttpAnswer): number | undefined {
  const match = /^bytes \d{1,15}-\d{1,15}\/(\d{1,15})$/.exec(
    headerOf(headers, 'content-range') ?? '',
  )
  return match === null ? undefined : Number(match[1])
}

export function startsAt(
  answer: HttpAnswer,
  offset: number,
  sizeBytes: number | undefined,
): boolean {
  const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headerOf(answer.headers, 'content-range') ?? '')
  if (match === null || Number(match[1]) !== offset) return false
  return sizeBytes === undefined || match[2] === '*' || Number(match[2]) === sizeBytes
}

export function tooLong(sizeBytes: number): UpstreamError {
  return new UpstreamError('garbage', `the body goes on after its ${sizeBytes} bytes`)
}

/** Whether the bytes have another digest than they should. */
export function isMismatch(error: unknown): boolean {
  return error instanceof RegistryError && error.kind === 'DIGEST_MISMATCH'
}
