/**
 * @module Fair turns: responses that still have bytes to send after their share of this turn of the
 * event loop wait here, and so does everybody once all responses together have sent
 * `loopTurnBytesMax` or taken `loopTurnMsMax`. One immediate serves the queues in order; what does
 * not fit waits for the next, and sockets are polled in between.
 *
 * Those that have little left come first, up to half of a turn: a manifest must not wait until three
 * hundred layers have had their share. Then those that have had nothing yet, up to three quarters: with
 * hundreds of readers the first byte would wait for a share of everybody's. Without the share some of 16 equal downloads took ten times as
 * long; without the common bound a thousand readers held the event loop for 400 ms; without the bound
 * in time readers that take nothing did so once the kernel ran short of memory for them (measured).
 */
import { littleLeftBytesMax, loopTurnBytesMax, loopTurnMsMax } from '../../registry/limits.ts'

/** Something that sends a bounded piece each time it is called. Must not throw. */
export interface Turn {
  takeTurn(): void
}

export class TurnQueue {
  private readonly little = new Line()
  private readonly beginning = new Line()
  private readonly much = new Line()
  private isScheduled = false
  private spentBytes = 0
  /** When this turn began to send; 0 before it did. */
  private startedAt = 0

  /** Whether this turn of the event loop has sent all that it may: go through `add`. */
  get isSpent(): boolean {
    return this.spentBytes >= loopTurnBytesMax
  }

  /** Counts bytes that were sent in this turn, by a pump or as a whole answer. */
  spend(bytes: number): void {
    this.spentBytes += bytes
    // A turn that sends little needs no end of its own, and no look at the clock.
    if (bytes <= littleLeftBytesMax && this.spentBytes < loopTurnBytesMax / 2) return
    const now = performance.now()
    if (this.startedAt === 0) this.startedAt = now
    else if (now - this.startedAt > loopTurnMsMax) this.spentBytes = loopTurnBytesMax
    this.schedule()
  }

  /** `isFirst`: it has sent nothing yet. */
  add(turn: Turn, leftBytes: number, isFirst: boolean): void {
    if (leftBytes <= littleLeftBytesMax) this.little.add(turn)
    else if (isFirst) this.beginning.add(turn)
    else this.much.add(turn)
    this.schedule()
  }

  private schedule(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    setImmediate(this.run)
  }

  private readonly run = (): void => {
    const { little, beginning, much } = this
    this.isScheduled = false
    this.spentBytes = 0
    this.startedAt = performance.now()
    // Those that come back while this runs come after those that are here now, in the next turn.
    for (const line of [little, beginning, much]) line.mark()
    this.serve(little, loopTurnBytesMax / 2)
    this.serve(beginning, (loopTurnBytesMax * 3) / 4)
    this.serve(much, loopTurnBytesMax)
    this.serve(beginning, loopTurnBytesMax)
    this.serve(little, loopTurnBytesMax)
    if (!little.isEmpty || !beginning.isEmpty || !much.isEmpty) this.schedule()
    else this.startedAt = 0
  }

  private serve(line: Line, untilBytes: number): void {
    while (this.spentBytes < untilBytes) {
      const turn = line.next()
      if (turn === undefined) return
      turn.takeTurn()
    }
  }
}

/** First in, first out; shifting a long array would cost each time. */
class Line {
  private waiting: Turn[] = []
  private head = 0
  private end = 0

  get isEmpty(): boolean {
    return this.head === this.waiting.length
  }

  add(turn: Turn): void {
    this.waiting.push(turn)
  }

  /** Whoever is added from now on is for the next mark. */
  mark(): void {
    this.waiting = this.waiting.slice(this.head)
    this.head = 0
    this.end = this.waiting.length
  }

  next(): Turn | undefined {
    if (this.head === this.end) return undefined
    const turn = this.waiting[this.head]
    this.head += 1
    return turn
  }
}
