/**
 * @module `fastregistry version`.
 */
import { readVersion } from '../../runtime/version.ts'
import type { RunCommand } from '../command.ts'

export const version: RunCommand = async (_line, terminal) => {
  terminal.print(`fastregistry ${readVersion()} (node ${process.version})`)
  return 0
}
