/**
 * @module What the commands share: their configuration, and how they report what went wrong.
 */
import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/explain.ts'
import type { LoadOptions } from '../config/load.ts'
import type { Environment } from '../config/source.ts'
import type { CommandLine } from './command.ts'
import { oneLine } from './one-line.ts'
import type { Terminal } from './terminal.ts'

/** The command line was not understood: one sentence, exit code 2. */
export class Misuse extends Error {}

/** Where the configuration of a command comes from; without a file the defaults hold. */
export function loadOptions(line: CommandLine, environment: Environment): LoadOptions {
  const file = configFile(line, environment)
  return { ...(file === undefined ? {} : { file }), flags: line.settings, environment }
}

/** The file that a flag or the operand names, else the environment. */
export function configFile(line: CommandLine, environment: Environment): string | undefined {
  return line.text('config') ?? (environment['FASTREGISTRY_CONFIG'] || undefined)
}

/** The configuration that the flags name. Throws a `ConfigError`, which `main` prints. */
export async function configOf(line: CommandLine, { environment }: Terminal): Promise<Config> {
  const { loadConfig } = await import('../config/load.ts')
  return loadConfig(loadOptions(line, environment))
}

/**
 * Runs work; a failure is one line that begins with `what`, and exit code 1. Throws what `main`
 * reports: `Misuse` and `ConfigError`.
 */
export async function reportFailure(
  terminal: Terminal,
  what: string,
  work: () => Promise<number>,
): Promise<number> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Misuse || error instanceof ConfigError) throw error
    const message = error instanceof Error ? error.message : String(error)
    terminal.printError(`fastregistry: ${what === '' ? '' : `${what}: `}${oneLine(message)}`)
    return 1
  }
}
