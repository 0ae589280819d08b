/**
 * @module What the feature commands share: their words and flags, and the configuration they work
 * with.
 */
import type { Config } from '../config/config.ts'
import { ConfigError, nearestKey } from '../config/explain.ts'
import { loadConfig } from '../config/load.ts'
import { FLAG_KEYS, type SettingKey, SWITCH_FLAGS } from '../config/schema.ts'
import type { Environment } from '../config/source.ts'
import { fail, ok, type Result } from '../registry/result.ts'
import { oneLine } from './one-line.ts'
import type { Terminal } from './terminal.ts'

export interface CommandLine {
  readonly words: readonly string[]
  /** Values by the flag's name without its dashes; a flag given again adds to its values. */
  readonly flags: ReadonlyMap<string, readonly string[]>
}

/** Flags that lead to the configuration; every command takes them. */
const CONFIG_FLAGS: readonly string[] = ['config', ...FLAG_KEYS.keys()]

/**
 * Words and `--flag value`, `--flag=value`; one dash will do. Every flag takes a value, but for the
 * switches, which take none and get an empty one.
 */
export function readCommandLine(
  args: readonly string[],
  ownFlags: readonly string[],
  switches: readonly string[] = [],
): Result<CommandLine, string> {
  const known = [...ownFlags, ...switches, ...CONFIG_FLAGS]
  const words: string[] = []
  const flags = new Map<string, string[]>()
  for (let index = 0; index < args.length; index++) {
    const match = /^--?([a-z][a-z-]*)(?:=(.*))?$/s.exec(args[index]!)
    if (match === null) {
      words.push(args[index]!)
      continue
    }
    const [, name = '', inline] = match
    if (!known.includes(name)) {
      const nearest = nearestKey(name, known)
      const advice = nearest === undefined ? '' : `; did you mean "--${nearest}"?`
      return fail(`unknown flag "--${name}"${advice}`)
    }
    if (switches.includes(name)) {
      if (inline !== undefined) return fail(`flag --${name} takes no value`)
      flags.set(name, [''])
      continue
    }
    const value = inline ?? (SWITCH_FLAGS.has(name) ? 'true' : args[++index])
    if (value === undefined || value === '') return fail(`flag --${name} needs a value`)
    flags.set(name, [...(flags.get(name) ?? []), value])
  }
  return ok({ words, flags })
}

/** The file that a flag names, or the environment; undefined: the defaults hold. */
export function configFile(
  given: string | undefined,
  environment: Environment,
): string | undefined {
  return given ?? (environment['FASTREGISTRY_CONFIG'] || undefined)
}

/** The configuration that the flags name; undefined after its problems were printed. */
export async function configOf(line: CommandLine, terminal: Terminal): Promise<Config | undefined> {
  const file = configFile(line.flags.get('config')?.at(-1), terminal.environment)
  const settings = new Map<SettingKey, string>()
  for (const [flag, key] of FLAG_KEYS) {
    const value = line.flags.get(flag)?.at(-1)
    if (value !== undefined) settings.set(key, value)
  }
  try {
    return await loadConfig({
      ...(file === undefined ? {} : { file }),
      flags: settings,
      environment: terminal.environment,
    })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    terminal.printError(error.message)
    return undefined
  }
}

/** Says what was wrong with the command line; the exit code. */
export function misused(terminal: Terminal, message: string, usage: string): number {
  terminal.printError(`fastregistry: ${message}`)
  terminal.printError(usage)
  return 2
}

/** Runs work on files; a failure is one line and exit code 1. */
export async function reportFailure(
  terminal: Terminal,
  what: string,
  work: () => Promise<number>,
): Promise<number> {
  try {
    return await work()
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    terminal.printError(`fastregistry: ${what}: ${oneLine(message)}`)
    return 1
  }
}
