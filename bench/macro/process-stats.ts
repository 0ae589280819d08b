/**
 * @module What a server costs, read from /proc for its whole process tree: CPU seconds, resident
 * memory, and the private (anonymous) part of it. Linux only, see `hasProcessStats`.
 */
import { existsSync, readFileSync } from 'node:fs'

/** Kernel ticks in a second: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100

/** Elsewhere every figure would be zero: rows leave them out. */
export function hasProcessStats(): boolean {
  return existsSync('/proc/self/stat')
}

export interface Memory {
  readonly rssMiB: number
  /** RssAnon: heap, stacks, buffers; without mapped files, which are the page cache's. */
  readonly anonMiB: number
}

/** A process with all its descendants. */
export function processTree(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number)
  return [pid, ...children.flatMap(processTree)]
}

/** User and system time of the tree so far, in seconds. */
export function cpuSeconds(pid: number): number {
  return processTree(pid).reduce((total, each) => total + cpuOf(read(`/proc/${each}/stat`)), 0)
}

/** From the text of /proc/PID/stat. The name may hold spaces and brackets; fields follow it. */
export function cpuOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticksPerSecond
}

export function memoryOf(pid: number): Memory {
  let rssMiB = 0
  let anonMiB = 0
  for (const each of processTree(pid)) {
    const status = read(`/proc/${each}/status`)
    rssMiB += fieldMiB(status, 'VmRSS')
    anonMiB += fieldMiB(status, 'RssAnon')
  }
  return { rssMiB, anonMiB }
}

function fieldMiB(status: string, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)
  return match === null ? 0 : Number(match[1]) / 1024
}

/** Watches the memory of a process tree until it is stopped; keeps the peaks. */
export class MemorySampler {
  readonly #pid: number
  readonly #timer: NodeJS.Timeout
  #rssMiB = 0
  #anonMiB = 0

  constructor(pid: number, everyMs = 100) {
    this.#pid = pid
    this.#timer = setInterval(() => this.#sample(), everyMs)
    this.#sample()
  }

  /** Peaks since the start. */
  stop(): { readonly peakRssMiB: number; readonly peakAnonMiB: number } {
    clearInterval(this.#timer)
    this.#sample()
    return { peakRssMiB: this.#rssMiB, peakAnonMiB: this.#anonMiB }
  }

  #sample(): void {
    const { rssMiB, anonMiB } = memoryOf(this.#pid)
    this.#rssMiB = Math.max(this.#rssMiB, rssMiB)
    this.#anonMiB = Math.max(this.#anonMiB, anonMiB)
  }
}

/** A file of /proc; empty where the process has gone. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
