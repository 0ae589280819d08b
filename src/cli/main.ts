/**
 * @module Runs a command line. Exit codes: 0 done, 1 the configuration or the work failed, 2 the
 * command line was not understood. Everything that it touches comes in by arguments, so that tests
 * can watch.
 */
import { ConfigError } from '../config/explain.ts'
import { Misuse } from './command-line.ts'
import { COMMANDS } from './commands.ts'
import { parseCommandLine } from './parse.ts'
import type { Terminal } from './terminal.ts'

/** Runs one command to its end (`serve`: until the server has stopped). Resolves to the exit code. */
export async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  const parsed = parseCommandLine(args, COMMANDS)
  if (!parsed.ok) {
    terminal.printError(`fastregistry: ${parsed.error}`)
    return 2
  }
  const line = parsed.value
  const run = await line.command.load()
  try {
    return await run(line, terminal)
  } catch (error) {
    if (error instanceof Misuse) {
      const isAdvice = error.message.endsWith('?')
      const hint = isAdvice ? '' : `; see fastregistry help ${line.command.words.join(' ')}`
      terminal.printError(`fastregistry: ${error.message}${hint}`)
      return 2
    }
    if (!(error instanceof ConfigError)) throw error
    terminal.printError(error.message)
    return 1
  }
}
