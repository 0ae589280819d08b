/**
 * @module A line of progress on the terminal of a person, which is written over by the next one. Nothing of it goes
 * to a file or a pipe.
 */

const barWidth = 30

/** `[######------]`; empty while nothing is known to be done. */
export function bar(done: number, all: number): string {
  const share = all === 0 ? 0 : Math.min(1, Math.max(0, done / all))
  const filled = Math.round(share * barWidth)
  return `[${'#'.repeat(filled)}${'-'.repeat(barWidth - filled)}]`
}

/** Shows the text in place of the last one; an empty text takes it away. */
export function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${text}\u001b[K`)
}
