/**
 * @module The form of one row of the table of commands (`commands.ts`): what the parser, the help, the
 * documents and the shell completion read. Types only.
 */
import type { SettingKey } from '../config/schema.ts'
import type { CommandLine } from './command-line.ts'
import type { Terminal } from './terminal.ts'

export interface Command {
  /** `['gc', 'plan']`. */
  readonly words: readonly string[]
  /** Other words for the same command. */
  readonly aliases?: readonly (readonly string[])[]
  /** Among rows with the same words this one is meant when the switch is given. */
  readonly chosenBy?: string
  readonly operands: readonly Operand[]
  /** By name, without dashes. Those of `needs` are added to them. */
  readonly flags: Flags
  readonly needs: Needs
  /** One line, for the help and the documents. */
  readonly summary: string
  /** Further lines for the help of this command. */
  readonly details?: string
  /** Command lines without the name of the program; a test parses each. */
  readonly examples: readonly string[]
  /** Loads the modules of this command, and of no other. */
  readonly load: () => Promise<RunCommand>
}

/**
 * What a command works with. `config`: a configuration. `store`: the store of a configuration, which
 * no server has open unless the summary says otherwise. `server`: the admin API of a running server,
 * or of a store that no server has open.
 */
export type Needs = 'config' | 'store' | 'server' | 'nothing'

export type Flags = Readonly<Record<string, Flag>>

export interface Flag {
  /** `list`: may be given again, and holds values between commas. A switch has no value. */
  readonly type: 'text' | 'list' | 'switch'
  /** What stands for the value in the help: `FILE`. */
  readonly value?: string
  /** An example of the value, for the error when it is missing. */
  readonly example?: string
  readonly summary: string
  /** The setting that this flag overrides. */
  readonly setting?: SettingKey
  /** The value may begin with a dash. */
  readonly takesDash?: true
}

export interface Operand {
  /** In the help: `PLAN`. */
  readonly name: string
  /** For the error when it is missing: `a folder to write to`. */
  readonly what: string
  readonly isOptional?: true
  /** Any number of them. Only the last one. */
  readonly isRepeated?: true
  /** The operand stands for this flag, and is refused beside it. */
  readonly insteadOf?: string
  /** All values that there are. */
  readonly values?: readonly string[]
}

/** Runs a command; resolves to the exit code: 0 done, 1 failed. Throws `Misuse` for 2. */
export type RunCommand = (line: CommandLine, terminal: Terminal) => Promise<number>

/** `gc plan`: how a command is called. */
export function nameOf({ words, chosenBy }: Command): string {
  return chosenBy === undefined ? words.join(' ') : `${words.join(' ')} --${chosenBy}`
}

/** The words of a command, and all other words for it. */
export function wordsOf({ words, aliases = [] }: Command): readonly (readonly string[])[] {
  return [words, ...aliases]
}
