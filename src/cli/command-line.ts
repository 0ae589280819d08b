/**
 * @module A command line that was understood: the command with its operands and flags. And what the
 * commands share: their configuration, and how they report what went wrong.
 */
import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/explain.ts'
import type { LoadOptions } from '../config/load.ts'
import type { SettingKey } from '../config/schema.ts'
import type { Environment } from '../config/source.ts'
import type { Command } from './command.ts'
import { oneLine } from './one-line.ts'
import type { Terminal } from './terminal.ts'

export interface LineParts {
  readonly command: Command
  /** The table that the command is from. */
  readonly commands: readonly Command[]
  readonly operands: readonly string[]
  /** Values by the name of the flag, in the order of the command line; a switch has `true`. */
  readonly flags: ReadonlyMap<string, readonly string[]>
  /** Every flag that the command takes. */
  readonly known: ReadonlySet<string>
  /** Flags that override settings, by the key of the setting. */
  readonly settings: ReadonlyMap<SettingKey, string>
}

export class CommandLine {
  readonly command: Command
  readonly commands: readonly Command[]
  readonly operands: readonly string[]
  readonly settings: ReadonlyMap<SettingKey, string>
  readonly #flags: ReadonlyMap<string, readonly string[]>
  readonly #known: ReadonlySet<string>

  constructor(parts: LineParts) {
    this.command = parts.command
    this.commands = parts.commands
    this.operands = parts.operands
    this.settings = parts.settings
    this.#flags = parts.flags
    this.#known = parts.known
  }

  /** The value of a flag, the last one where it was given again. */
  text(name: string): string | undefined {
    return this.#values(name).at(-1)
  }

  /** All values of a flag, also those between commas. */
  list(name: string): readonly string[] {
    return this.#values(name).flatMap((text) => text.split(',').map((one) => one.trim()))
  }

  /** Whether a flag was given. */
  has(name: string): boolean {
    return this.#values(name).length > 0
  }

  /** A flag that the table does not have would never be given: that is a mistake of ours. */
  #values(name: string): readonly string[] {
    if (!this.#known.has(name)) throw new TypeError(`no flag --${name} in the table of commands`)
    return this.#flags.get(name) ?? []
  }
}

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
