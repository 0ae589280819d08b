/**
 * @module How much of the processor a thread asks for.
 */
import { readdirSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'
import type { Libc } from './libc.ts'

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

/** How much nicer V8's own threads are made, and how many of them Node.js starts before anything else. */
const helperNiceness = 10
const helpers = 5

/** The shortest turn that can be asked for, ns. */
const turnNs = 100_000

/**
 * Lets the main thread answer before other threads of its process go on, those that collect the garbage
 * of all threads above all: two of them, on two cores, made pulls wait for as long as a turn of the
 * scheduler takes (3 ms). For the main thread of a process that is a server. What cannot be had here is
 * left as it is.
 */
export function answerFirst(libc: Pick<Libc, 'shortenTurns'>): void {
  if (process.platform !== 'linux') return
  const others = readdirSync('/proc/self/task')
    .map(Number)
    .filter((id) => id !== process.pid)
  const mine = getPriority(0)
  const theirs = Math.min(mine + helperNiceness, nicest)
  try {
    for (const id of others.sort((a, b) => a - b).slice(0, helpers)) setPriority(id, theirs)
    libc.shortenTurns(turnNs, mine)
  } catch {
    // One of them has ended, or it is not allowed here.
  }
}
