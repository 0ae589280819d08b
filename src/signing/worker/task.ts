/**
 * @module One request of the examiner, on its thread.
 *
 * @apart Its entry in `workers/` has nothing but the port.
 */
import { type PublicKey, readPublicKey } from '../keys/public-key.ts'
import { examine } from '../verdicts/examine.ts'
import type { ExamineReply, ExamineRequest, NamedKey } from './messages.ts'

/** What the signatures of one image may take, ms: ten thousand of ECDSA P-256 take less. */
const examineMsMax = 5_000

/** Answers a request. Never throws: one image that fails must not end the examination of others. */
export function answer({ id, subject, candidates, keys }: ExamineRequest): ExamineReply {
  const endsAt = performance.now() + examineMsMax
  try {
    const examination = examine(
      subject,
      candidates,
      readKeys(keys),
      () => performance.now() < endsAt,
    )
    return { id, examination }
  } catch (error) {
    return { id, examination: undefined, fault: String(error) }
  }
}

function readKeys(keys: readonly NamedKey[]): PublicKey[] {
  return keys.map(({ name, pem }) => {
    const read = readPublicKey(name, pem)
    if (!read.ok) throw new Error(`key ${name}: ${read.error}`)
    return read.value
  })
}
