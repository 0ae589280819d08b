/**
 * @module The randomness seam: identifiers that nobody can guess. Tests hand in a seeded source.
 */
import { randomBytes } from 'node:crypto'

export interface Random {
  /** `count` unpredictable bytes. */
  bytes(count: number): Uint8Array
}

export const systemRandom: Random = {
  bytes: (count) => randomBytes(count),
}

/** 128 unpredictable bits as 32 lower-case hex characters. */
export function randomHexId(random: Random): string {
  return Buffer.from(random.bytes(16)).toString('hex')
}
