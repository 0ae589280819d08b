/**
 * @module Fair turns: responses that still have bytes to send after their share of this turn of
 * the event loop wait here. One immediate serves all of them, in order, once each.
 *
 * Without it the pump was unfair: some of 16 equal downloads took ten times as long (measured).
 */

/** Something that sends a bounded piece each time it is called. Must not throw. */
export interface Turn {
  takeTurn(): void
}

/** A queue of turns; those added while it runs come in the next turn of the event loop. */
export class TurnQueue {
  private waiting: Turn[] = []
  private running: Turn[] = []
  private isScheduled = false

  add(turn: Turn): void {
    this.waiting.push(turn)
    if (this.isScheduled) return
    this.isScheduled = true
    setImmediate(this.run)
  }

  private readonly run = (): void => {
    this.isScheduled = false
    const turns = this.waiting
    this.waiting = this.running
    this.running = turns
    for (const turn of turns) turn.takeTurn()
    turns.length = 0
  }
}
