/**
 * @module One request of the examiner, on its thread.
 *
 * @apart Its entry in `workers/` has nothing but the port.
 */
import { compileGlob } from '../../registry/glob.ts'
import { type PublicKey, readPublicKey } from '../keys/public-key.ts'
import { examine } from '../verdicts/examine.ts'
import { judge } from '../verdicts/policy.ts'
import type { ExamineReply, ExamineRequest, NamedKey } from './messages.ts'

/** Answers a request. Never throws: one image that fails must not end the examination of others. */
export function answer(request: ExamineRequest): ExamineReply {
  const { id, subject, candidates, keys, rules, msMax } = request
  const begunAt = performance.now()
  try {
    const hasTime = () => performance.now() < begunAt + msMax
    const { found, isTruncated } = examine(subject, candidates, readKeys(keys), hasTime)
    const verdict = rules && judge(rules, found, matches)
    const findings = found.map(({ finding }) => finding)
    return { id, examined: { findings, isTruncated, verdict, ms: performance.now() - begunAt } }
  } catch (error) {
    return { id, examined: undefined, fault: String(error) }
  }
}

function readKeys(keys: readonly NamedKey[]): PublicKey[] {
  return keys.map(({ name, pem }) => {
    const read = readPublicKey(name, pem)
    if (!read.ok) throw new Error(`key ${name}: ${read.error}`)
    return read.value
  })
}

/** Rules were checked where they were read: a glob that cannot be compiled fits nothing. */
function matches(glob: string, text: string): boolean {
  const compiled = compileGlob(glob)
  return compiled.ok && compiled.value(text)
}
