/**
 * @module How much of the processor a thread asks for.
 */
import { setPriority } from 'node:os'

/** Nicer than the main thread. */
const niceness = 10

/**
 * Lets the threads that answer clients go first. On Linux the priority belongs to the calling thread
 * alone; elsewhere it would be the whole process's, so nothing happens there.
 */
export function lowerPriority(): void {
  if (process.platform !== 'linux') return
  try {
    setPriority(0, niceness)
  } catch {
    // Not allowed here: the work is done all the same.
  }
}
