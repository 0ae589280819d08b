/**
 * @module One thing that changes (a tag, whether a repository has a blob) as its clients saw it:
 * which values it may have now. A write that was never answered may have happened at any moment
 * from its beginning until the crash, or not at all.
 */

export interface Write<V> {
  readonly value: V
  readonly began: number
  /** When its answer came, or the crash; undefined while it is under way. */
  ended: number | undefined
  /** Whether the answer said that it is done. */
  isCertain: boolean
}

/** Counts events, so that "before" and "after" have a meaning. */
export class Ticks {
  #now = 0
  next(): number {
    this.#now += 1
    return this.#now
  }
}

export class Register<V> {
  readonly #ticks: Ticks
  #writes: Write<V>[]
  /** Whether anybody wrote since the last observation. */
  isFresh = false

  constructor(ticks: Ticks, value: V) {
    this.#ticks = ticks
    this.#writes = [certainly(value, ticks.next())]
  }

  begin(value: V): Write<V> {
    const write = { value, began: this.#ticks.next(), ended: undefined, isCertain: false }
    this.#writes.push(write)
    this.isFresh = true
    return write
  }

  /** The answer says that the write is done. */
  confirm(write: Write<V>): void {
    write.ended = this.#ticks.next()
    write.isCertain = true
  }

  /** The answer says that nothing was done. */
  refuse(write: Write<V>): void {
    this.#writes = this.#writes.filter((other) => other !== write)
  }

  /** Done or not: nobody knows, but it is over. */
  giveUp(write: Write<V>): void {
    write.ended ??= this.#ticks.next()
  }

  /** The process died: what was under way is over. */
  crash(): void {
    for (const write of this.#writes) this.giveUp(write)
  }

  /** Every value that no later write has certainly replaced. */
  allowed(): V[] {
    const last = Math.max(...this.#writes.filter((it) => it.isCertain).map((it) => it.began))
    const values = this.#writes.filter((it) => (it.ended ?? Number.POSITIVE_INFINITY) >= last)
    return [...new Set(values.map((it) => it.value))]
  }

  /** Whether this is the only value that it may have. */
  is(value: V): boolean {
    const allowed = this.allowed()
    return allowed.length === 1 && allowed[0] === value
  }

  /** Somebody looked while nobody wrote: from now on it has this value. */
  observe(value: V): void {
    this.#writes = [certainly(value, this.#ticks.next())]
    this.isFresh = false
  }
}

function certainly<V>(value: V, tick: number): Write<V> {
  return { value, began: tick, ended: tick, isCertain: true }
}
