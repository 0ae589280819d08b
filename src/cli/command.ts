/**
 * @module The form of one row of the table of commands (`commands.ts`): what the parser, the help, the
 * documents and the shell completion read; and a command line that fits one.
 */
import type { SettingKey } from '../config/schema.ts'
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
 * or of a store that no server has open. `running`: that of a running server alone.
 */
export type Needs = 'config' | 'store' | 'server' | 'running' | 'nothing'

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

/** A command line that was understood: the command with its operands and flags. */
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

/** Runs a command; resolves to the exit code: 0 done, 1 failed, 3 done in part. Throws `Misuse` for 2. */
export type RunCommand = (line: CommandLine, terminal: Terminal) => Promise<number>

/** `gc plan`: how a command is called. */
export function nameOf({ words, chosenBy }: Command): string {
  return chosenBy === undefined ? words.join(' ') : `${words.join(' ')} --${chosenBy}`
}

/** The words of a command, and all other words for it. */
export function wordsOf({ words, aliases = [] }: Command): readonly (readonly string[])[] {
  return [words, ...aliases]
}
