/**
 * @module The command line: which command, which flags. Flags take one or two dashes and `=value` or
 * a separate value, as those of the first FastRegistry did; without a command it means `serve`.
 */
import { nearestKey } from '../config/explain.ts'
import { FLAG_KEYS, type SettingKey, SWITCH_FLAGS } from '../config/schema.ts'
import { parseRepositoryName, type RepositoryName } from '../registry/name.ts'
import { fail, ok, type Result } from '../registry/result.ts'
import { FEATURE_COMMANDS } from './feature-commands.ts'

const COMMANDS = {
  serve: 'serve',
  'check-config': 'check-config',
  'verify-config': 'check-config',
  verify: 'verify',
  backup: 'backup',
  restore: 'restore',
  adopt: 'adopt',
  version: 'version',
  help: 'help',
} as const

/** How many operands a command takes at most; `check-config` takes one when no flag names its file. */
const OPERANDS_MAX: Readonly<Partial<Record<Command, number>>> = { backup: 1, restore: 1 }

/** Commands that cannot do without their operand, and what it is. */
const NEEDS_OPERAND: Readonly<Partial<Record<Command, string>>> = {
  backup: 'a folder to write to',
  restore: 'the folder of a backup',
}

export type Command = (typeof COMMANDS)[keyof typeof COMMANDS]

export interface Arguments {
  readonly command: Command
  /** Configuration file: `--config`, or the operand of `check-config`. */
  readonly file: string | undefined
  /** Flags that override settings, by the key of the setting. */
  readonly settings: ReadonlyMap<SettingKey, string>
  /** `--repository` of `adopt`. */
  readonly repository: RepositoryName | undefined
  /** `--repair` of `verify`: take what is damaged out of service. */
  readonly repairs: boolean
  /** `--probe` of `check-config`: ask the upstreams too. */
  readonly probes: boolean
  /** The folder of `backup` and `restore`. */
  readonly operand: string | undefined
}

/** Flags that are commands in disguise. */
const COMMAND_FLAGS: Readonly<Record<string, Command>> = {
  version: 'version',
  v: 'version',
  help: 'help',
  h: 'help',
}

const VALUE_FLAGS: readonly string[] = ['config', 'repository', ...FLAG_KEYS.keys()]

/** What was asked for, or the one sentence that says what is wrong with it. */
export function parseArguments(args: readonly string[]): Result<Arguments, string> {
  const operands: string[] = []
  const settings = new Map<SettingKey, string>()
  let file: string | undefined
  let repository: string | undefined
  let repairs = false
  let probes = false
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
    if (name === 'repair' && inlineValue === undefined) {
      repairs = true
      continue
    }
    if (name === 'probe' && inlineValue === undefined) {
      probes = true
      continue
    }
    if (!VALUE_FLAGS.includes(name)) return fail(unknown('flag', `--${name}`, FLAGS_WITH_DASHES))
    const isSwitch = SWITCH_FLAGS.has(name)
    const value = inlineValue ?? (isSwitch ? 'true' : args[++index])
    if (
      value === undefined ||
      value === '' ||
      (inlineValue === undefined && !isSwitch && isFlag(value))
    ) {
      return fail(`flag --${name} needs a value, such as ${EXAMPLES[name]}`)
    }
    const key = FLAG_KEYS.get(name)
    if (key !== undefined) settings.set(key, value)
    else if (name === 'repository') repository = value
    else file = value
  }
  const parsed = withCommand(operands, disguised, file, settings)
  if (parsed.ok && probes && parsed.value.command !== 'check-config') {
    return fail(`flag --probe belongs to check-config; ${helpHint}`)
  }
  return parsed.ok ? withOwnFlags({ ...parsed.value, probes }, repairs, repository) : parsed
}

function withCommand(
  operands: readonly string[],
  disguised: Command | undefined,
  flagFile: string | undefined,
  settings: Arguments['settings'],
): Result<Omit<Arguments, 'repository' | 'repairs' | 'probes'>, string> {
  const [word = 'serve', ...rest] = operands
  if (!isCommandWord(word))
    return fail(
      unknown('command', word, [...Object.keys(COMMANDS), ...Object.keys(FEATURE_COMMANDS)]),
    )
  const command = disguised ?? COMMANDS[word]
  const takesFile = command === 'check-config' && flagFile === undefined
  const operandsMax = takesFile ? 1 : (OPERANDS_MAX[command] ?? 0)
  if (disguised === undefined && rest.length > operandsMax) {
    return fail(`unexpected "${rest[operandsMax]}" after ${word}; ${helpHint}`)
  }
  const needed = NEEDS_OPERAND[command]
  if (needed !== undefined && rest.length === 0) return fail(`${word} needs ${needed}`)
  const file = takesFile ? rest[0] : flagFile
  return ok({ command, file, settings, operand: takesFile ? undefined : rest[0] })
}

/** Flags that one command alone understands. */
function withOwnFlags(
  parsed: Omit<Arguments, 'repository' | 'repairs'>,
  repairs: boolean,
  text: string | undefined,
): Result<Arguments, string> {
  if (repairs && parsed.command !== 'verify') {
    return fail(`flag --repair belongs to verify; ${helpHint}`)
  }
  if (text === undefined) return ok({ ...parsed, repairs, repository: undefined })
  if (parsed.command !== 'adopt') return fail(`flag --repository belongs to adopt; ${helpHint}`)
  const name = parseRepositoryName(text)
  if (!name.ok) return fail(`--repository: "${text}" is not a name such as team/app`)
  return ok({ ...parsed, repairs, repository: name.value })
}

const helpHint = 'see fastregistry help'

const FLAGS_WITH_DASHES = [...VALUE_FLAGS, 'repair', 'probe', 'version', 'help'].map(
  (name) => `--${name}`,
)

const EXAMPLES: Readonly<Record<string, string>> = {
  config: '--config=config.yaml',
  storage: '--storage=./data',
  addr: '--addr=:5000',
  open: '--open',
  repository: '--repository=team/app',
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
  check-config --explain USER ACTION REPOSITORY
                        say which access rule decides (USER may be "anonymous")
  verify                read everything stored and compare it with its digest (server stopped)
  backup DIR            write a consistent copy to an empty folder (the server may run)
  restore DIR           make a store at storage.path out of a backup
  adopt                 take up blob files of a stopped store that have no metadata
  version               print the version
  help                  print this text

Flags (one dash or two; --flag=value or --flag value; they win over the file):
  --config FILE         configuration file (YAML); else $FASTREGISTRY_CONFIG, else the defaults
  --storage DIR         storage.path: folder that holds everything
  --addr ADDRESS        server.addr: address to listen on, such as :5000
  --open                server.open: without auth and access let the network in too
  --repair              verify: take what is damaged out of service, so that it can be pushed again
  --probe               check-config: ask every upstream whether it lets us in
  --repository NAME     adopt: repository that the adopted blobs can be pulled from
`
