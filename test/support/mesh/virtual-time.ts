/**
 * @module Virtual time for many nodes in one process: events in the order of their time, each run to its
 * end before the next one begins. The same seed gives the same run. Nodes can be paused and can crash.
 *
 * Code with promises runs as well: after every event its microtasks are drained, by `DRAIN_TURNS` times
 * `await null`. A turn settles one link of a chain: an `await` takes one, an `async` function that returns
 * a promise takes three, `finally` and `Promise.all` one or two each. So 24 turns are some ten functions
 * deep, for 1.5 µs. A longer chain ends beside the next events instead, still in the same order in every
 * run: microtasks are a queue, too. Real timers, files and sockets have no place in a run.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { Clock } from '../../../src/runtime/clock.ts'
import { EventQueue } from './event-queue.ts'
import { SeededRandom } from './seeded-random.ts'

export const DRAIN_TURNS = 24

/** A run that nothing else ends stops after so many events. */
export const EVENTS_MAX = 10_000_000

/** Wall time of a clock without offset at the start of a run. */
export const WALL_START_MS = 1_700_000_000_000

const NOTES_KEPT = 500

/** An event that is to come. */
export class VirtualTimer {
  readonly dueMs: number
  /** Of two events of one time, the one that was asked for first comes first. */
  readonly order: number
  readonly owner: NodeRun | undefined
  #run: (() => void) | undefined

  constructor(dueMs: number, order: number, owner: NodeRun | undefined, run: () => void) {
    this.dueMs = dueMs
    this.order = order
    this.owner = owner
    this.#run = run
  }

  get isPending(): boolean {
    return this.#run !== undefined
  }

  /** Takes effect at once, also when the event is due; does nothing after the event. */
  cancel(): void {
    this.#run = undefined
  }

  /** For the scheduler. */
  fire(): void {
    const run = this.#run
    this.#run = undefined
    run?.()
  }
}

export interface VirtualTimeOptions {
  /** How often `await null` after each event; 0 where all code is callbacks: then it is never awaited. */
  readonly drainTurns?: number
}

export interface RunUntil {
  /** Virtual time at which the run ends; events of that time still run. */
  readonly ms?: number
  /** How many events may run; at most, and by default, `EVENTS_MAX`. */
  readonly events?: number
  /** Asked before each event. */
  readonly when?: () => boolean
}

/** What ended a run. `idle`: no event is left, but those of paused nodes. */
export type RunEnd = 'time' | 'events' | 'condition' | 'idle'

export class VirtualTime {
  readonly random: SeededRandom
  readonly #drainTurns: number
  readonly #queue = new EventQueue<VirtualTimer>()
  readonly #boots = new Map<string, NodeRun>()
  readonly #hash = createHash('sha256')
  readonly #notes: string[] = []
  #nowMs = 0
  #order = 0
  #isRunning = false

  constructor(seed: number, options: VirtualTimeOptions = {}) {
    this.random = new SeededRandom(seed)
    this.#drainTurns = options.drainTurns ?? DRAIN_TURNS
  }

  /** Milliseconds since the start of the run, with fractions. */
  now(): number {
    return this.#nowMs
  }

  /** Runs `run` after a delay, whatever happens to any node: the network, the log, the test itself. */
  at(delayMs: number, run: () => void): VirtualTimer {
    return this.schedule(delayMs, undefined, run)
  }

  /** For `NodeRun`. */
  schedule(delayMs: number, owner: NodeRun | undefined, run: () => void): VirtualTimer {
    assert(delayMs >= 0 && delayMs < Number.POSITIVE_INFINITY, `not a delay: ${delayMs}`)
    const timer = new VirtualTimer(this.#nowMs + delayMs, this.#order, owner, run)
    this.#order += 1
    this.#queue.push(timer)
    return timer
  }

  /** For `NodeRun`: events that were put off come first, in their old order. */
  putBack(timers: readonly VirtualTimer[]): void {
    for (const timer of timers) this.#queue.push(timer)
  }

  /** Starts a node; the one of this name before it must have crashed. */
  boot(name: string, clock: ClockOptions = {}): NodeRun {
    const before = this.#boots.get(name)
    assert(before?.isAlive !== true, `${name} runs already`)
    const run = new NodeRun(this, name, (before?.boot ?? 0) + 1, clock)
    this.#boots.set(name, run)
    return run
  }

  /**
   * Runs events until one of the bounds is met, and says which. Rejects with what an event throws. At the
   * end of a time `now()` is that time.
   */
  async run(until: RunUntil = {}): Promise<RunEnd> {
    assert(!this.#isRunning, 'one run at a time')
    this.#isRunning = true
    try {
      return await this.#run(until)
    } finally {
      this.#isRunning = false
    }
  }

  async #run(until: RunUntil): Promise<RunEnd> {
    const endMs = until.ms ?? Number.POSITIVE_INFINITY
    const eventsMax = Math.min(until.events ?? EVENTS_MAX, EVENTS_MAX)
    const turns = this.#drainTurns
    // What was begun before the run.
    for (let turn = 0; turn < turns; turn += 1) await null
    for (let count = 0; ; ) {
      if (until.when?.() === true) return 'condition'
      const timer = this.#queue.first()
      if (timer?.isPending === false) {
        this.#queue.shift()
        continue
      }
      if (timer === undefined || timer.dueMs > endMs) {
        if (endMs < Number.POSITIVE_INFINITY) this.#nowMs = Math.max(this.#nowMs, endMs)
        return timer === undefined ? 'idle' : 'time'
      }
      if (count >= eventsMax) return 'events'
      this.#queue.shift()
      if (timer.owner?.takes(timer) === false) continue
      // An event that was put off is late: time does not go back for it.
      if (timer.dueMs > this.#nowMs) this.#nowMs = timer.dueMs
      count += 1
      timer.fire()
      for (let turn = 0; turn < turns; turn += 1) await null
    }
  }

  /** Writes a line into the trace, with its time. */
  note(text: string): void {
    const line = `${this.#nowMs.toFixed(3)} ${text}`
    this.#hash.update(`${line}\n`)
    if (this.#notes.length === 2 * NOTES_KEPT) this.#notes.splice(0, NOTES_KEPT)
    this.#notes.push(line)
  }

  /** SHA-256 of all lines so far: equal for two runs of one seed. */
  traceHash(): string {
    return this.#hash.copy().digest('hex')
  }

  /** The last lines of the trace, at most 500. */
  lastNotes(count = NOTES_KEPT): readonly string[] {
    return this.#notes.slice(-Math.min(count, NOTES_KEPT))
  }
}

export interface ClockOptions {
  /** How much the wall clock is ahead. */
  readonly offsetMs?: number
  /** How much the wall clock runs too fast, in millionths. */
  readonly driftPpm?: number
}

/** A node from its start to its crash. What it does belongs to this run: the next one knows nothing of it. */
export class NodeRun {
  readonly name: string
  /** 1, 2, 3 … for the runs of a node. */
  readonly boot: number
  readonly clock: VirtualClock
  readonly #time: VirtualTime
  #putOff: VirtualTimer[] = []
  #state: 'running' | 'paused' | 'crashed' = 'running'

  constructor(time: VirtualTime, name: string, boot: number, clock: ClockOptions) {
    this.#time = time
    this.name = name
    this.boot = boot
    this.clock = new VirtualClock(time, clock)
  }

  get isAlive(): boolean {
    return this.#state !== 'crashed'
  }

  get isPaused(): boolean {
    return this.#state === 'paused'
  }

  /** Runs `run` after a delay, or later if the node is paused then, or never if it has crashed. */
  at(delayMs: number, run: () => void): VirtualTimer {
    return this.#time.schedule(delayMs, this, run)
  }

  /** Resolves after a delay as `at` runs: never, if the node crashes before. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.at(delayMs, resolve)
    })
  }

  /** From the next event on nothing runs here; time goes on, and the monotonic clock with it. */
  pause(): void {
    if (this.#state === 'running') this.#state = 'paused'
  }

  /** Runs what was put off, in order, before anything that is due later. */
  wake(): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    const timers = this.#putOff
    this.#putOff = []
    this.#time.putBack(timers)
  }

  /** Ends this run: none of its events comes any more. A message that it has sent is on its way. */
  crash(): void {
    this.#state = 'crashed'
    this.#putOff = []
  }

  /** For the scheduler: whether an event may run now. */
  takes(timer: VirtualTimer): boolean {
    if (this.#state === 'paused') this.#putOff.push(timer)
    return this.#state === 'running'
  }
}

/** The clock of a node: wall time is wrong as it was told to be, monotonic time is virtual time. */
export class VirtualClock implements Clock {
  readonly #time: VirtualTime
  readonly #rate: number
  #offsetMs: number

  constructor(time: VirtualTime, options: ClockOptions = {}) {
    this.#time = time
    this.#rate = 1 + (options.driftPpm ?? 0) / 1e6
    this.#offsetMs = WALL_START_MS + (options.offsetMs ?? 0)
  }

  now(): number {
    return Math.floor(this.#offsetMs + this.#time.now() * this.#rate)
  }

  monotonic(): number {
    return this.#time.now()
  }

  /** Sets the wall clock forward, or back when below 0. */
  step(ms: number): void {
    this.#offsetMs += ms
  }
}
