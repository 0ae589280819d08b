/**
 * @module Fair turns: responses that still have bytes to send after their share of this turn of the
 * event loop wait here, and so does everybody once all responses together have sent
 * `loopTurnBytesMax`. One immediate serves the queue in order; what does not fit waits for the next,
 * and sockets are polled in between.
 *
 * Who has had nothing yet comes before those who want more: with hundreds of readers the first byte
 * would otherwise wait for a share of everybody's.
 *
 * Without the share some of 16 equal downloads took ten times as long; without the common bound a
 * thousand readers held the event loop for 400 ms (both measured).
 */
import { loopTurnBytesMax } from '../registry/limits.ts'

/** Something that sends a bounded piece each time it is called. Must not throw. */
export interface Turn {
  takeTurn(): void
}

export class TurnQueue {
  private waiting: Turn[] = []
  /** Those that wait for their first byte. */
  private beginning: Turn[] = []
  /** Index of the first that still waits: shifting a long array would cost each time. */
  private next = 0
  private isScheduled = false
  private spentBytes = 0

  /** Whether this turn of the event loop has sent all that it may: go through `add`. */
  get isSpent(): boolean {
    return this.spentBytes >= loopTurnBytesMax
  }

  /** Counts bytes that were sent in this turn, by a pump or as a whole answer. */
  spend(bytes: number): void {
    this.spentBytes += bytes
    // A turn that sends little needs no end of its own.
    if (this.spentBytes >= loopTurnBytesMax / 2) this.schedule()
  }

  add(turn: Turn, isFirst = false): void {
    if (isFirst) this.beginning.push(turn)
    else this.waiting.push(turn)
    this.schedule()
  }

  private schedule(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    setImmediate(this.run)
  }

  private readonly run = (): void => {
    this.isScheduled = false
    this.spentBytes = 0
    this.serveFirst()
    // Those that come back while this runs come after those that are here now, in the next turn.
    const end = this.waiting.length
    while (this.next < end && !this.isSpent) {
      const turn = this.waiting[this.next]!
      this.next += 1
      turn.takeTurn()
    }
    if (this.next === this.waiting.length || this.next > 1024) {
      this.waiting = this.waiting.slice(this.next)
      this.next = 0
    }
    if (this.waiting.length > this.next || this.beginning.length > 0) this.schedule()
  }

  private serveFirst(): void {
    if (this.beginning.length === 0) return
    const now = this.beginning
    this.beginning = []
    let served = 0
    while (served < now.length && !this.isSpent) {
      now[served]!.takeTurn()
      served += 1
    }
    if (served < now.length) this.beginning = [...now.slice(served), ...this.beginning]
  }
}
