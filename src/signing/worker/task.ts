/**
 * @module One request of the examiner, on its thread.
 *
 * @apart Its entry in `workers/` has nothing but the port.
 */
import { examine } from '../verdicts/examine.ts'
import { judge } from '../verdicts/policy.ts'
import type { ExamineReply, ExamineRequest } from './messages.ts'
import { verifiersOf } from './verifiers.ts'

/** Answers a request. Never rejects: one image that fails must not end the examination of others. */
export async function answer(request: ExamineRequest): Promise<ExamineReply> {
  const { id, subject, candidates, trust, rules, tags, msMax } = request
  try {
    // Libraries that load once are no matter of this image.
    let begunAt = performance.now()
    const verifiers = await verifiersOf(trust, () => performance.now() < begunAt + msMax)
    begunAt = performance.now()
    const { found, isTruncated } = examine(subject, candidates, verifiers, rules)
    const verdict = rules && judge(rules, found, { ...verifiers, tags })
    const findings = found.map(({ finding }) => finding)
    return { id, examined: { findings, isTruncated, verdict, ms: performance.now() - begunAt } }
  } catch (error) {
    return { id, examined: undefined, fault: String(error) }
  }
}
