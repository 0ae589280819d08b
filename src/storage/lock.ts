/**
 * @module One process a store: two that write the same LMDB environment and the same files would
 * each undo what the other promised. The lock is `flock` on `<storage.path>/lock`, so it goes with
 * the process, however that ends; the pid inside is for the operator's eyes.
 *
 * Where there is no `flock` (no C library, a file system without locks) the pid decides: a file that
 * names a live process other than this one is a lock. That can be wrong in both directions (a pid
 * that was given anew; two starts in the same instant), which is why it is only the second choice.
 */
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Libc } from '../runtime/libc.ts'

export interface StoreLock {
  /** Lets the store go. The file stays: removing it could take away the lock of the next process. */
  release(): void
}

/** Takes the store or throws who has it. `storagePath` exists. Never waits. */
export function lockStore(storagePath: string, libc: Libc | undefined): StoreLock {
  const path = join(storagePath, 'lock')
  const descriptor = openSync(path, 'a+', 0o640)
  try {
    if (!takeLock(descriptor, path, libc)) throw inUse(storagePath, readPid(path))
    ftruncateSync(descriptor)
    writeSync(descriptor, `${process.pid}\n`)
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
  return {
    release: () => {
      ftruncateSync(descriptor)
      closeSync(descriptor)
    },
  }
}

function takeLock(descriptor: number, path: string, libc: Libc | undefined): boolean {
  try {
    if (libc !== undefined) return libc.lock(descriptor)
  } catch {
    // A file system without locks: the pid decides, as without a C library.
  }
  const pid = readPid(path)
  return pid === undefined || pid === process.pid || !isAlive(pid)
}

function readPid(path: string): number | undefined {
  const pid = Number.parseInt(readFileSync(path, 'utf8'), 10)
  return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined
}

/** Whether a process has this pid; one that we may not signal is alive too. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

function inUse(storagePath: string, pid: number | undefined): Error {
  const holder = pid === undefined ? 'another process' : `process ${pid}`
  return new Error(
    `${storagePath} is in use by ${holder}; stop that one or choose another storage.path`,
  )
}
