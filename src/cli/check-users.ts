/**
 * @module What `check-config` looks at beside the configuration itself: the users' file that it
 * names, because a server would not start with a broken one.
 */
import { readFile } from 'node:fs/promises'
import { parseHtpasswd } from '../auth/htpasswd.ts'
import type { Terminal } from './terminal.ts'

/** Prints each line that is wrong and how to mend it; true when none is. */
export async function checkUsers(file: string, terminal: Terminal): Promise<boolean> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    terminal.printError(`auth.htpasswd_file ${file} cannot be read (${reason})`)
    return false
  }
  const parsed = parseHtpasswd(text, file)
  if (parsed.ok) return true
  for (const problem of parsed.problems) terminal.printError(problem)
  return false
}
