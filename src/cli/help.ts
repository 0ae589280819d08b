/**
 * @module `fastregistry help`: the help of everything, of a group of commands or of one command, made
 * from the table of commands.
 */
import { nearestKey } from '../config/explain.ts'
import { type Command, type Flag, type Operand, type RunCommand, wordsOf } from './command.ts'
import { Misuse } from './command-line.ts'
import { flagsOf } from './flags.ts'

export const help: RunCommand = async ({ operands, commands }, terminal) => {
  const found = commands.filter((command) => isAbout(command, operands))
  if (found.length === 0) {
    const known = commands.flatMap(wordsOf).map((words) => words.join(' '))
    const nearest = nearestKey(operands.join(' '), known)
    const advice = nearest === undefined ? '' : `; did you mean "${nearest}"?`
    throw new Misuse(`there is no command "${operands.join(' ')}"${advice}`)
  }
  const text = operands.length === 0 ? helpOfAll(commands) : found.map(helpOf).join('\n\n')
  terminal.print(text)
  return 0
}

/** Whether the words are the command or the group of commands that it belongs to. */
function isAbout(command: Command, topic: readonly string[]): boolean {
  return wordsOf(command).some((words) => topic.every((word, at) => words[at] === word))
}

function helpOfAll(commands: readonly Command[]): string {
  const rows = commands.map((command) => [callOf(command), command.summary] as const)
  return `Usage: fastregistry [command] [flags]

Commands:
${columns(rows)}

Flags take one dash or two, and =value or a separate value.
fastregistry help COMMAND prints the flags of a command, with examples.`
}

/** The help of one command. */
export function helpOf(command: Command): string {
  const { aliases = [], details, examples, summary } = command
  const flags = Object.entries(flagsOf(command))
  const rows = flags.map(([name, flag]) => [flagText(name, flag), flag.summary] as const)
  const others = aliases.map((words) => words.join(' ')).join(', ')
  return [
    `Usage: fastregistry ${callOf(command)}${flags.length === 0 ? '' : ' [flags]'}`,
    `  ${summary}`,
    ...(others === '' ? [] : [`  also: ${others}`]),
    ...(details === undefined ? [] : ['', details]),
    ...(rows.length === 0 ? [] : ['', 'Flags:', columns(rows)]),
    '',
    'Examples:',
    ...examples.map((example) => `  fastregistry ${example}`),
  ].join('\n')
}

/** `gc show PLAN`, `check-config [FILE] --explain USER ACTION REPOSITORY`. */
export function callOf(command: Command): string {
  const { chosenBy, operands, words } = command
  const names = operands.map(operandText)
  if (chosenBy === undefined) return [...words, ...names].join(' ')
  const isBefore = (operand: Operand) => operand.insteadOf !== undefined
  const [before, behind] = [operands.filter(isBefore), operands.filter((one) => !isBefore(one))]
  const parts = [before.map(operandText), [`--${chosenBy}`], behind.map(operandText)]
  return [...words, ...parts.flat()].join(' ')
}

function operandText({ name, isOptional, isRepeated }: Operand): string {
  const text = isRepeated === true ? `${name}...` : name
  return isOptional === true ? `[${text}]` : text
}

function flagText(name: string, { value }: Flag): string {
  return value === undefined ? `--${name}` : `--${name} ${value}`
}

/** Widest first column that still has the second one beside it, characters. */
const columnMax = 24

/** Two columns; a long first one has its text on the next line. */
function columns(rows: readonly (readonly [string, string])[]): string {
  return rows
    .map(([left, right]) =>
      left.length > columnMax
        ? `  ${left}\n  ${' '.repeat(columnMax)}  ${right}`
        : `  ${left.padEnd(columnMax)}  ${right}`,
    )
    .join('\n')
}
