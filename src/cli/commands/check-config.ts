/**
 * @module `fastregistry check-config`: whether a server could start with a configuration. With
 * `--probe` it also asks every upstream of every mirror whether it is a registry that lets us in.
 */
import type { Config } from '../../config/config.ts'
import { judgeConfig } from '../../server/judge/judge.ts'
import type { RunCommand } from '../command.ts'
import { configFile, loadOptions } from '../command-line.ts'

export const checkConfig: RunCommand = async (line, terminal) => {
  const { environment } = terminal
  const { config, warnings } = await judgeConfig(loadOptions(line, environment))
  for (const warning of warnings) terminal.printError(warning)
  terminal.print(`${configFile(line, environment) ?? 'defaults'}: ok`)
  if (!line.has('probe')) return 0
  return (await probeMirrors(config, (text) => terminal.print(text))) ? 0 : 1
}

/** One line for each upstream, with the reason where it fails. Resolves to whether all answered. */
async function probeMirrors(config: Config, print: (line: string) => void): Promise<boolean> {
  const { probeUpstream } = await import('../../upstream/probe.ts')
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
