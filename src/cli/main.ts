/**
 * @module The commands. Exit codes: 0 done, 1 the configuration or the start failed, 2 the command
 * line was not understood. Everything it touches comes in by arguments, so that tests can watch.
 */
import { ConfigError } from '../config/explain.ts'
import { type LoadOptions, loadConfig } from '../config/load.ts'
import type { Environment } from '../config/source.ts'
import { readVersion } from '../runtime/version.ts'
import { type Arguments, HELP, parseArguments } from './arguments.ts'
import { type ServeContext, serve } from './serve.ts'

export interface Terminal extends ServeContext {
  readonly environment: Environment
  /** Standard output and standard error; a line feed is added. */
  print(line: string): void
}

/** Runs one command to its end (for `serve`: until the server has stopped) and says how it went. */
export async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  const parsed = parseArguments(args)
  if (!parsed.ok) {
    terminal.printError(`fastregistry: ${parsed.error}`)
    return 2
  }
  switch (parsed.value.command) {
    case 'help':
      terminal.print(HELP.trimEnd())
      return 0
    case 'version':
      terminal.print(`fastregistry ${readVersion()} (node ${process.version})`)
      return 0
    case 'check-config':
      return withConfig(parsed.value, terminal, async () => {
        terminal.print(`${parsed.value.file ?? 'defaults'}: ok`)
        return 0
      })
    case 'serve':
      return withConfig(parsed.value, terminal, (config) => serve(config, terminal))
  }
}

type Use = (config: Awaited<ReturnType<typeof loadConfig>>) => Promise<number>

async function withConfig(args: Arguments, terminal: Terminal, use: Use): Promise<number> {
  const options: LoadOptions = {
    ...(args.file === undefined ? {} : { file: args.file }),
    flags: args.settings,
    environment: terminal.environment,
  }
  const config = await loadConfig(options).catch((error: unknown) => {
    if (!(error instanceof ConfigError)) throw error
    terminal.printError(error.message)
    return undefined
  })
  return config === undefined ? 1 : use(config)
}
