/**
 * @module How much of the processor a thread asks for.
 */
import { setPriority } from 'node:os'

/** As nice as can be: what runs so makes somebody wait who may. */
const nicest = 19

/**
 * Lets the threads that answer clients go first: of two threads that want the same core, one that is
 * nicer by 5 gets a quarter, by 19 hardly anything. On Linux the priority belongs to the calling thread
 * alone; elsewhere it would be the whole process's, so nothing happens there.
 */
export function lowerPriority(niceness = nicest): void {
  if (process.platform !== 'linux') return
  try {
    setPriority(0, niceness)
  } catch {
    // Not allowed here: the work is done all the same.
  }
}
