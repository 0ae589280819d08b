/**
 * @module Which modules run for one request, by precise coverage: what a reader has to open to follow it.
 */
import type { Profiler } from 'node:inspector'
import { Session } from 'node:inspector/promises'

/**
 * Modules whose address fits `counted` (its first group names them) and of which a function runs while
 * `work` does, in order of names.
 */
export async function enteredModules(
  counted: RegExp,
  work: () => Promise<unknown>,
): Promise<string[]> {
  const session = new Session()
  session.connect()
  try {
    await session.post('Profiler.enable')
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
    await session.post('Profiler.takePreciseCoverage')
    await work()
    const { result } = await session.post('Profiler.takePreciseCoverage')
    const found = result
      .filter(({ functions }) => functions.some(hasRun))
      .flatMap(({ url }) => counted.exec(url)?.[1] ?? [])
    return [...new Set(found)].sort()
  } finally {
    session.disconnect()
  }
}

/** Functions without a name are the test runner's: they read the constants of other modules. */
function hasRun({ functionName, ranges }: Profiler.FunctionCoverage): boolean {
  return functionName !== '' && ranges.some(({ count }) => count > 0)
}
