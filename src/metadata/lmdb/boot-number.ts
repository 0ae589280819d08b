/**
 * @module The number of a node's run, kept flushed beside its rows: those may lose their last commits, and what two
 * runs with one number sent could not be told apart.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Counts the run that begins: a number above that of every run before. `known`: what the log says of the last.
 * On disk when it returns. Throws when the file cannot be read or written, or holds something else.
 */
export function nextBoot(path: string, known: number): number {
  const boot = Math.max(lastBoot(path), known) + 1
  const fresh = `${path}.new`
  const file = openSync(fresh, 'w', 0o640)
  try {
    writeSync(file, `${boot}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(fresh, path)
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
  return boot
}

function lastBoot(path: string): number {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw error
  }
  if (!/^[1-9][0-9]{0,14}\n$/.test(text)) {
    throw new Error(
      `${path} does not hold the number of the last run; restore it from a backup, or remove the node`,
    )
  }
  return Number(text)
}
