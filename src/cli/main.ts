/**
 * @module The commands. Exit codes: 0 done, 1 the configuration or the start failed, 2 the command
 * line was not understood. Everything it touches comes in by arguments, so that tests can watch.
 */
import { ConfigError } from '../config/explain.ts'
import { type LoadOptions, loadConfig } from '../config/load.ts'
import { readVersion } from '../runtime/version.ts'
import type { Judged } from '../server/judge/judge.ts'
import { type Arguments, HELP, parseArguments } from './arguments.ts'
import { configFile } from './command-line.ts'
import { adopt } from './commands/adopt.ts'
import { serve } from './commands/serve.ts'
import { FEATURE_COMMANDS, featureHelp } from './feature-commands.ts'
import type { Terminal } from './terminal.ts'

/** Runs one command to its end (for `serve`: until the server has stopped) and says how it went. */
export async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  const [word = '', ...rest] = args
  if (Object.hasOwn(FEATURE_COMMANDS, word)) {
    const run = await FEATURE_COMMANDS[word]!.load()
    return run(rest, terminal)
  }
  if (word === 'check-config' && rest.some((one) => /^--?explain$/.test(one))) {
    return (await import('./commands/explain.ts')).explain(rest, terminal)
  }
  const parsed = parseArguments(args)
  if (!parsed.ok) {
    terminal.printError(`fastregistry: ${parsed.error}`)
    return 2
  }
  switch (parsed.value.command) {
    case 'help':
      terminal.print(HELP.replace('  version  ', `${featureHelp()}  version  `).trimEnd())
      return 0
    case 'version':
      terminal.print(`fastregistry ${readVersion()} (node ${process.version})`)
      return 0
    case 'check-config':
      return withJudged(parsed.value, terminal, async ({ config, warnings }) => {
        for (const line of warnings) terminal.printError(line)
        terminal.print(`${configFile(parsed.value.file, terminal.environment) ?? 'defaults'}: ok`)
        if (!parsed.value.probes) return 0
        const { probeMirrors } = await import('./commands/probe-mirrors.ts')
        return (await probeMirrors(config, (line) => terminal.print(line))) ? 0 : 1
      })
    case 'adopt':
      return withConfig(parsed.value, terminal, (config) =>
        adopt(config, parsed.value.repository, terminal),
      )
    case 'verify':
      return maintain(parsed.value, terminal, (tools, path) =>
        tools.verify(path, parsed.value.repairs, terminal),
      )
    case 'backup':
      return maintain(parsed.value, terminal, (tools, path) =>
        tools.writeBackup(path, parsed.value.operand!, terminal),
      )
    case 'restore':
      return maintain(parsed.value, terminal, (tools, path) =>
        tools.restoreBackup(parsed.value.operand!, path, terminal),
      )
    case 'serve':
      return withJudged(parsed.value, terminal, ({ config }) => serve(config, terminal))
  }
}

type Maintenance = Awaited<ReturnType<Terminal['loadMaintenance']>>

/** Work on a store without a server: one line for what went wrong, exit code 1. */
function maintain(
  args: Arguments,
  terminal: Terminal,
  work: (tools: Maintenance, path: string) => Promise<number>,
): Promise<number> {
  return withConfig(args, terminal, async (config) => {
    try {
      return await work(await terminal.loadMaintenance(), config.storage.path)
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      terminal.printError(`fastregistry: ${args.command} failed: ${message}`)
      return 1
    }
  })
}

/** For work on a store: of the files that the configuration names it needs none. */
function withConfig(
  args: Arguments,
  terminal: Terminal,
  use: (config: Awaited<ReturnType<typeof loadConfig>>) => Promise<number>,
): Promise<number> {
  return withLoaded(args, terminal, loadConfig, use)
}

/** For a server, or to say whether one could start. */
async function withJudged(
  args: Arguments,
  terminal: Terminal,
  use: (judged: Judged) => Promise<number>,
): Promise<number> {
  const { judgeConfig } = await import('../server/judge/judge.ts')
  return withLoaded(args, terminal, judgeConfig, use)
}

async function withLoaded<T>(
  args: Arguments,
  terminal: Terminal,
  load: (options: LoadOptions) => Promise<T>,
  use: (loaded: T) => Promise<number>,
): Promise<number> {
  const file = configFile(args.file, terminal.environment)
  const options: LoadOptions = {
    ...(file === undefined ? {} : { file }),
    flags: args.settings,
    environment: terminal.environment,
  }
  let loaded: T
  try {
    loaded = await load(options)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    terminal.printError(error.message)
    return 1
  }
  return use(loaded)
}
