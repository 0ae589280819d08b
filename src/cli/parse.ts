/**
 * @module The parser of the command line. Flags take one or two dashes, and `=value` or a separate
 * value, as those of the first FastRegistry did. They may stand anywhere. Without a command it means
 * `serve`.
 */
import { nearestKey } from '../config/explain.ts'
import type { SettingKey } from '../config/schema.ts'
import { fail, ok, type Result } from '../registry/result.ts'
import { type Command, CommandLine, type Flag, type Flags, nameOf, wordsOf } from './command.ts'
import { flagsOf, takenBy } from './flags.ts'

/** Flags that are commands. */
const COMMAND_FLAGS: Readonly<Record<string, string>> = {
  version: 'version',
  v: 'version',
  help: 'help',
  h: 'help',
}

const defaultWord = 'serve'

/** The command with its operands and flags, or one sentence that says what is wrong. */
export function parseCommandLine(
  args: readonly string[],
  commands: readonly Command[],
): Result<CommandLine, string> {
  const tokens = readTokens(args, commands)
  if (!tokens.ok) return tokens
  const { operands, flags, asked, strange } = tokens.value
  const found = findCommand(operands, flags, commands)
  const own = found.ok ? takenBy(found.value.command) : unionOf(commands)
  if (strange !== undefined) return fail(unknownFlag(strange, own, found, commands))
  if (asked !== undefined) return helpOrVersion(asked, operands, found, commands)
  if (!found.ok) return found
  const { command, wordCount } = found.value
  for (const { name } of flags) {
    if (!Object.hasOwn(own, name)) return fail(unknownFlag(`--${name}`, own, found, commands))
  }
  const rest = operands.slice(wordCount)
  const problem = operandProblem(command, rest, flags)
  if (problem !== undefined) return fail(problem)
  return ok(makeLine(found.value, commands, rest, flags))
}

interface GivenFlag {
  readonly name: string
  readonly value: string
  /** How many operands and words of commands stand before it. */
  readonly at: number
}

interface Tokens {
  readonly operands: readonly string[]
  readonly flags: readonly GivenFlag[]
  /** The command that a flag such as `--help` stands for. */
  readonly asked: string | undefined
  /** The first flag that no command has. */
  readonly strange: string | undefined
}

/** Tells flags from operands. A flag means the same in every command, so the command may come later. */
function readTokens(args: readonly string[], commands: readonly Command[]): Result<Tokens, string> {
  const all = unionOf(commands)
  const operands: string[] = []
  const flags: GivenFlag[] = []
  let asked: string | undefined
  let strange: string | undefined
  for (let index = 0; index < args.length; index++) {
    const argument = args[index]!
    const match = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(argument)
    if (match === null) {
      if (argument.startsWith('-')) strange ??= argument
      else operands.push(argument)
      continue
    }
    const [, name = '', inline] = match
    const flag = Object.hasOwn(all, name) ? all[name] : undefined
    if (flag === undefined) {
      if (Object.hasOwn(COMMAND_FLAGS, name) && inline === undefined) asked ??= COMMAND_FLAGS[name]
      else strange ??= `--${name}`
      continue
    }
    const isSwitch = flag.type === 'switch'
    const value = inline ?? (isSwitch ? 'true' : args[++index])
    const isLost = inline === undefined && flag.takesDash !== true && isFlag(value ?? '')
    if (value === undefined || value === '' || isLost) {
      return fail(`flag --${name} needs a value, such as --${name}=${flag.example ?? 'true'}`)
    }
    if (isSwitch && flag.setting === undefined && value !== 'true') {
      return fail(`flag --${name} takes no value`)
    }
    flags.push({ name, value, at: operands.length })
  }
  return ok({ operands, flags, asked, strange })
}

/** `:8080` and `-` are values; `-addr` is a flag whose neighbour lost its value. */
function isFlag(text: string): boolean {
  return /^--?[a-z]/i.test(text)
}

interface Found {
  readonly command: Command
  /** How many of the operands are words of the command. */
  readonly wordCount: number
}

/** The command with the most words that the operands begin with, or what is wrong with the words. */
function findCommand(
  operands: readonly string[],
  flags: readonly GivenFlag[],
  commands: readonly Command[],
): Result<Found, string> {
  const given = operands.length === 0 ? [defaultWord] : operands
  const found = longestMatch(given, flags, commands)
  // Of a group such as `gc`, the next word is a command and no operand.
  const isWordMissing = found?.wordCount === 1 && given.length > 1
  const follow = followersOf(given.slice(0, 1), commands)
  if (found === undefined || (isWordMissing && follow.length > 0)) {
    return fail(unknownCommand(given, follow, commands))
  }
  return ok(operands.length === 0 ? { ...found, wordCount: 0 } : found)
}

function longestMatch(
  given: readonly string[],
  flags: readonly GivenFlag[],
  commands: readonly Command[],
): Found | undefined {
  let found: Found | undefined
  for (const command of commands) {
    const { chosenBy } = command
    if (chosenBy !== undefined && !flags.some(({ name }) => name === chosenBy)) continue
    for (const words of wordsOf(command)) {
      const isBetter = words.length >= (found?.wordCount ?? 0)
      if (!isBetter || !words.every((word, at) => word === given[at])) continue
      found = { command, wordCount: words.length }
    }
  }
  return found
}

/** `follow` are the words that may come after the first one. */
function unknownCommand(
  [word = '', next]: readonly string[],
  follow: readonly string[],
  commands: readonly Command[],
): string {
  if (follow.length === 0) return unknown('command', word, followersOf([], commands), helpHint)
  if (next === undefined) return `${word} needs ${listOf(follow)}; ${helpHint} ${word}`
  const nearest = nearestKey(next, follow)
  const advice =
    nearest === undefined ? `${helpHint} ${word}` : `did you mean "${word} ${nearest}"?`
  return `unknown command "${word} ${next}"; ${advice}`
}

/** The words that may follow these. */
export function followersOf(
  before: readonly string[],
  commands: readonly Command[],
): readonly string[] {
  const found = commands
    .flatMap(wordsOf)
    .filter((words) => before.every((word, at) => words[at] === word))
    .flatMap((words) => words.slice(before.length, before.length + 1))
  return [...new Set(found)]
}

const helpHint = 'see fastregistry help'

function hintOf(found: Result<Found, string>): string {
  if (!found.ok || found.value.wordCount === 0) return helpHint
  return `${helpHint} ${found.value.command.words.join(' ')}`
}

function helpOrVersion(
  asked: string,
  operands: readonly string[],
  found: Result<Found, string>,
  commands: readonly Command[],
): Result<CommandLine, string> {
  const command = commands.find(({ words }) => words.length === 1 && words[0] === asked)!
  const isGroup = operands.length === 1 && followersOf(operands, commands).length > 0
  if (!found.ok && !isGroup) return found
  const { wordCount } = found.ok ? found.value : { wordCount: 1 }
  const topic = asked === 'help' ? operands.slice(0, wordCount) : []
  return ok(makeLine({ command, wordCount: 0 }, commands, topic, []))
}

function makeLine(
  { command, wordCount }: Found,
  commands: readonly Command[],
  rest: readonly string[],
  flags: readonly GivenFlag[],
): CommandLine {
  const known = takenBy(command)
  const values = new Map<string, string[]>()
  const settings = new Map<SettingKey, string>()
  for (const { name, value } of flags) {
    values.set(name, [...(values.get(name) ?? []), value])
    const key = known[name]?.setting
    if (key !== undefined) settings.set(key, value)
  }
  const chosenAt = flags.find(({ name }) => name === command.chosenBy)?.at ?? 0
  const stands = command.operands.findIndex(({ insteadOf }) => insteadOf !== undefined)
  const flag = command.operands[stands]?.insteadOf
  const isFull = rest.length === command.operands.length
  // Behind the switch that chooses the command, the operand that stands for a flag comes last.
  const isLast = command.chosenBy !== undefined && chosenAt <= wordCount
  const at = isLast ? rest.length - 1 : stands
  const operands = [...rest]
  if (flag !== undefined && isFull) values.set(flag, operands.splice(at, 1))
  const names = new Set(Object.keys(known))
  return new CommandLine({ command, commands, operands, flags: values, known: names, settings })
}

function operandProblem(
  command: Command,
  rest: readonly string[],
  flags: readonly GivenFlag[],
): string | undefined {
  const isGiven = (flag: string | undefined) => flags.some(({ name }) => name === flag)
  const operands = command.operands.filter(({ insteadOf }) => !isGiven(insteadOf))
  const name = nameOf(command)
  const hint = `${helpHint} ${command.words.join(' ')}`
  const needed = operands.filter(({ isOptional }) => isOptional !== true)
  if (rest.length < needed.length) {
    return `${name} needs ${needed[rest.length]!.what}; ${hint}`
  }
  const isEndless = operands.at(-1)?.isRepeated === true
  if (rest.length > operands.length && !isEndless) {
    return `unexpected "${rest[operands.length]}" after ${name}; ${hint}`
  }
  for (const [at, { values, what }] of operands.entries()) {
    const text = rest[at]
    if (values === undefined || text === undefined || values.includes(text)) continue
    return `${name} needs ${what}: ${listOf(values)}; ${hint}`
  }
  return undefined
}

function unionOf(commands: readonly Command[]): Flags {
  const all: Record<string, Flag> = {}
  for (const command of commands) Object.assign(all, takenBy(command))
  return all
}

/** How many commands an error names. */
const ownersMax = 3

function unknownFlag(
  name: string,
  own: Flags,
  found: Result<Found, string>,
  commands: readonly Command[],
): string {
  if (!/^--[^-]/.test(name)) return `unknown flag "${name}"; ${hintOf(found)}`
  const bare = name.slice(2)
  const owners = commands.filter((command) => Object.hasOwn(flagsOf(command), bare)).map(nameOf)
  if (owners.length > ownersMax) return `flag --${bare} does not belong here; ${hintOf(found)}`
  if (owners.length > 0) {
    return `flag --${bare} belongs to ${listOf(owners, 'and')}; ${hintOf(found)}`
  }
  const known = [...Object.keys(own), 'version', 'help'].map((one) => `--${one}`)
  return unknown('flag', name, known, hintOf(found))
}

function unknown(
  kind: 'flag' | 'command',
  name: string,
  known: readonly string[],
  hint: string,
): string {
  const nearest = nearestKey(name, known)
  return nearest === undefined
    ? `unknown ${kind} "${name}"; ${hint}`
    : `unknown ${kind} "${name}"; did you mean "${nearest}"?`
}

/** `a, b or c`. */
function listOf(words: readonly string[], last = 'or'): string {
  if (words.length < 2) return words.join('')
  return `${words.slice(0, -1).join(', ')} ${last} ${words.at(-1)}`
}
