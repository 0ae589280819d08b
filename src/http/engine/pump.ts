/**
 * @module Moves a `ByteSource` into a socket: windows of bounded size, a bounded share of each turn
 * of the event loop, and never more than the socket takes.
 *
 *            ┌── ready() is a promise ──► source ──settled──┐
 *   run ─────┼── socket is full ────────► socket ──drained──┼──► run …
 *            └── share is used up ──────► turn ────queue────┘
 */
import { turnBytesMax } from '../../registry/limits.ts'
import type { ByteSource } from './port.ts'
import type { Turn, TurnQueue } from './turns.ts'

/** The response that a pump feeds. */
export interface PumpTarget {
  /** Offers bytes to the socket; returns how many it took and calls `block` when it is full. */
  take(bytes: Uint8Array): number
  /** Runs the pump where writes are cheap (corked). */
  runPump(): void
  /** All bytes are taken. */
  pumpEnded(): void
  /** The source failed or fell short. */
  pumpFailed(error: unknown): void
}

export class Pump implements Turn {
  /** Bytes that the socket took so far. */
  offset = 0
  private waitsFor: 'nothing' | 'source' | 'socket' | 'turn' | 'closed' = 'nothing'
  private readonly target: PumpTarget
  private readonly source: ByteSource
  private readonly turns: TurnQueue
  private windowBytes: number
  /** Writes under way that read from what the source handed out. */
  private lentWindows = 0
  /** The window that was offered last. */
  private offeredAt = 0

  constructor(target: PumpTarget, source: ByteSource, turns: TurnQueue, windowBytes: number) {
    this.target = target
    this.source = source
    this.turns = turns
    this.windowBytes = windowBytes
  }

  get fetchedBytes(): number {
    return this.source.fetchedBytes ?? 0
  }

  /** Whether a window may be read from until it is given back (see `lend`), and not only while it is offered. */
  get lasts(): boolean {
    return this.source.lasts === true
  }

  /**
   * Has what the socket still reads from brought into memory again: a client that takes nothing for long
   * would else make this thread wait for the disk, in the end.
   */
  refresh(): void {
    if (this.waitsFor !== 'socket' || this.lentWindows === 0 || !this.lasts) return
    const ready = this.source.ready(this.offeredAt, this.offset - this.offeredAt)
    if (typeof ready !== 'number') ready.catch((error: unknown) => this.fail(error))
  }

  /** Offers no more than this at once from now on. */
  limitWindow(bytes: number): void {
    this.windowBytes = Math.min(this.windowBytes, bytes)
  }

  /** Somebody reads from the window that was just offered: the source stays open until `giveBack`. */
  lend(): void {
    this.lentWindows += 1
  }

  giveBack(): void {
    this.lentWindows -= 1
    if (this.waitsFor === 'closed' && this.lentWindows === 0) this.source.close()
  }

  /** True while the client takes nothing more. */
  get isWaitingForSocket(): boolean {
    return this.waitsFor === 'socket'
  }

  /** Sends one share. Called by the target's `runPump` alone. */
  run(): void {
    if (this.waitsFor === 'closed') return
    this.waitsFor = 'nothing'
    try {
      this.sendShare()
    } catch (error) {
      this.fail(error)
    }
  }

  private sendShare(): void {
    const { source, target } = this
    let share = turnBytesMax
    while (this.waitsFor === 'nothing') {
      const left = source.sizeBytes - this.offset
      if (left === 0) {
        target.pumpEnded()
        return
      }
      if (share <= 0 || this.turns.isSpent) {
        this.waitsFor = 'turn'
        this.turns.add(this, left, this.offset === 0)
        return
      }
      const wanted = Math.min(this.windowBytes, share, left)
      const ready = source.ready(this.offset, wanted)
      if (typeof ready !== 'number') {
        this.waitForSource(ready)
        return
      }
      offering = this
      this.offeredAt = this.offset
      const taken = source.use(this.offset, Math.min(ready, wanted), offer)
      this.offset += taken
      share -= taken
      this.turns.spend(taken)
    }
  }

  /** The window on its way to the socket; a view longer than asked for is cut to size. */
  takeWindow(bytes: Uint8Array): number {
    const left = this.source.sizeBytes - this.offset
    if (bytes.length === 0) throw new Error(`source ended ${left} bytes short of its size`)
    return this.target.take(bytes.length > left ? bytes.subarray(0, left) : bytes)
  }

  /** The socket is full: the next `drained` goes on. */
  block(): void {
    if (this.waitsFor === 'nothing') this.waitsFor = 'socket'
  }

  drained(): void {
    if (this.waitsFor === 'socket') this.target.runPump()
  }

  takeTurn(): void {
    if (this.waitsFor === 'turn') this.target.runPump()
  }

  /** Ends all waiting and closes the source, when nobody reads from it; only the first call counts. */
  close(): void {
    if (this.waitsFor === 'closed') return
    this.waitsFor = 'closed'
    if (this.lentWindows === 0) this.source.close()
  }

  private waitForSource(ready: Promise<void>): void {
    this.waitsFor = 'source'
    ready.then(
      () => {
        if (this.waitsFor === 'source') this.target.runPump()
      },
      (error: unknown) => this.fail(error),
    )
  }

  private fail(error: unknown): void {
    if (this.waitsFor !== 'closed') this.target.pumpFailed(error)
  }
}

/** The pump whose window is being offered: `use` is synchronous, so one callback does for all. */
let offering: Pump
const offer = (bytes: Uint8Array): number => offering.takeWindow(bytes)
