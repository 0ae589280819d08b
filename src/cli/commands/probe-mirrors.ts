/**
 * @module `fastregistry check-config --probe`: asks every upstream of every mirror whether it is a
 * registry that lets us in. One line each; what fails is said with the reason.
 */
import type { Config } from '../../config/config.ts'
import { probeUpstream } from '../../upstream/probe.ts'

/** Resolves to whether every upstream answered. */
export async function probeMirrors(
  config: Config,
  print: (line: string) => void,
): Promise<boolean> {
  let isGood = true
  for (const mirror of config.mirrors) {
    for (const url of mirror.upstreams) {
      const problem = await probeUpstream(mirror, url)
      print(`mirror ${mirror.name}: ${url}: ${problem ?? 'ok'}`)
      if (problem !== undefined) isGood = false
    }
  }
  return isGood
}
