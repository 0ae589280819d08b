/**
 * @module The command line: which command, which flags. Flags take one or two dashes and `=value` or
 * a separate value, as those of the first FastRegistry did; without a command it means `serve`.
 */
import { nearestKey } from '../config/explain.ts'
import { FLAG_KEYS, type SettingKey } from '../config/schema.ts'
import { fail, ok, type Result } from '../registry/result.ts'

const COMMANDS = {
  serve: 'serve',
  'check-config': 'check-config',
  'verify-config': 'check-config',
  version: 'version',
  help: 'help',
} as const

export type Command = (typeof COMMANDS)[keyof typeof COMMANDS]

export interface Arguments {
  readonly command: Command
  /** Configuration file: `--config`, or the operand of `check-config`. */
  readonly file: string | undefined
  /** Flags that override settings, by the key of the setting. */
  readonly settings: ReadonlyMap<SettingKey, string>
}

/** Flags that are commands in disguise. */
const COMMAND_FLAGS: Readonly<Record<string, Command>> = {
  version: 'version',
  v: 'version',
  help: 'help',
  h: 'help',
}

const VALUE_FLAGS: readonly string[] = ['config', ...FLAG_KEYS.keys()]

/** What was asked for, or the one sentence that says what is wrong with it. */
export function parseArguments(args: readonly string[]): Result<Arguments, string> {
  const operands: string[] = []
  const settings = new Map<SettingKey, string>()
  let file: string | undefined
  let disguised: Command | undefined
  for (let index = 0; index < args.length; index++) {
    const argument = args[index]!
    const match = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(argument)
    if (match === null) {
      if (argument.startsWith('-')) return fail(`unknown flag "${argument}"; ${helpHint}`)
      operands.push(argument)
      continue
    }
    const [, name = '', inlineValue] = match
    if (Object.hasOwn(COMMAND_FLAGS, name) && inlineValue === undefined) {
      disguised ??= COMMAND_FLAGS[name]
      continue
    }
    if (!VALUE_FLAGS.includes(name)) return fail(unknown('flag', `--${name}`, FLAGS_WITH_DASHES))
    const value = inlineValue ?? args[++index]
    if (value === undefined || value === '' || (inlineValue === undefined && isFlag(value))) {
      return fail(`flag --${name} needs a value, such as ${EXAMPLES[name]}`)
    }
    const key = FLAG_KEYS.get(name)
    if (key === undefined) file = value
    else settings.set(key, value)
  }
  return withCommand(operands, disguised, file, settings)
}

function withCommand(
  operands: readonly string[],
  disguised: Command | undefined,
  flagFile: string | undefined,
  settings: Arguments['settings'],
): Result<Arguments, string> {
  const [word = 'serve', ...rest] = operands
  if (!isCommandWord(word)) return fail(unknown('command', word, Object.keys(COMMANDS)))
  const command = disguised ?? COMMANDS[word]
  const operandsMax = command === 'check-config' && flagFile === undefined ? 1 : 0
  if (disguised === undefined && rest.length > operandsMax) {
    return fail(`unexpected "${rest[operandsMax]}" after ${word}; ${helpHint}`)
  }
  const file = command === 'check-config' ? (flagFile ?? rest[0]) : flagFile
  return ok({ command, file, settings })
}

const helpHint = 'see fastregistry help'

const FLAGS_WITH_DASHES = [...VALUE_FLAGS, 'version', 'help'].map((name) => `--${name}`)

const EXAMPLES: Readonly<Record<string, string>> = {
  config: '--config=config.yaml',
  storage: '--storage=./data',
  addr: '--addr=:5000',
}

function isCommandWord(word: string): word is keyof typeof COMMANDS {
  return Object.hasOwn(COMMANDS, word)
}

/** `:8080` and `-` are values; `-addr` is a flag whose neighbour lost its value. */
function isFlag(text: string): boolean {
  return /^--?[a-z]/i.test(text)
}

function unknown(kind: 'flag' | 'command', name: string, known: readonly string[]): string {
  const nearest = nearestKey(name, known)
  return nearest === undefined
    ? `unknown ${kind} "${name}"; ${helpHint}`
    : `unknown ${kind} "${name}"; did you mean "${nearest}"?`
}

export const HELP = `Usage: fastregistry [command] [flags]

Commands:
  serve                 run the registry (the default)
  check-config [FILE]   say everything that is wrong with a configuration file
  version               print the version
  help                  print this text

Flags (one dash or two; --flag=value or --flag value; they win over the file):
  --config FILE         configuration file (YAML); without it the defaults hold
  --storage DIR         storage.path: folder that holds everything
  --addr ADDRESS        server.addr: address to listen on, such as :5000
`
