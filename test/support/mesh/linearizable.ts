/**
 * @module Whether a history of registers is linearizable: whether each operation can have taken effect at
 * one moment between its call and its answer. The search of Wing and Gong: take any operation that no
 * other one ended before, see what the register holds then, go on, go back where it leads nowhere. Two
 * things keep it short: what was found to lead nowhere is remembered, as the set of operations done and
 * the value held (Lowe); and a read that fits the value held is taken at once, as it changes nothing that
 * could make it a mistake.
 */
import { type RegisterOperation, type RegisterValue, withoutUnseen } from './register-history.ts'

/** Operations that the search takes for one register, again and again, before it gives up. */
export const STEPS_MAX = 1_000_000

export type Verdict =
  | { readonly outcome: 'linearizable'; readonly steps: number }
  | {
      readonly outcome: 'not linearizable'
      readonly key: string
      /** Where the longest attempt ended: this operation fits nowhere behind it. */
      readonly stuckAt: RegisterOperation
      /** How many operations of the key that attempt had taken. */
      readonly taken: number
      readonly steps: number
    }
  | { readonly outcome: 'undecided'; readonly key: string; readonly steps: number }

/**
 * Judges each register on its own. Every one holds `initial` before the first operation. A history with a
 * register that is not linearizable is not, whether or not others are decided. Throws a RangeError for an
 * operation that ends before its call.
 */
export function checkLinearizable(
  history: readonly RegisterOperation[],
  options: { readonly stepsMax?: number; readonly initial?: RegisterValue } = {},
): Verdict {
  const byKey = new Map<string, RegisterOperation[]>()
  for (const operation of history) {
    const { key, call, end } = operation
    if (end !== undefined && !(end >= call)) throw new RangeError(`${key}: it ends before its call`)
    const operations = byKey.get(key)
    if (operations === undefined) byKey.set(key, [operation])
    else operations.push(operation)
  }
  let steps = 0
  let undecided: string | undefined
  for (const [key, operations] of byKey) {
    const search = new Search(withoutUnseen(operations), options.initial)
    const found = search.run(options.stepsMax ?? STEPS_MAX)
    steps += search.steps
    if (found === 'undecided') undecided ??= key
    else if (found !== 'linearizable') return { outcome: 'not linearizable', key, ...found, steps }
  }
  return undecided === undefined
    ? { outcome: 'linearizable', steps }
    : { outcome: 'undecided', key: undecided, steps }
}

/** Ends of the list of events: a place before the first, and none behind the last. */
const BEFORE = 0
const NONE = -1

const FULL_WORD = 0xffff_ffff

interface Taken {
  readonly call: number
  /** The value held before. */
  readonly held: RegisterValue
  /** A read that fits: to go another way instead of it can gain nothing. */
  readonly isForced: boolean
  readonly highest: number
}

interface Stuck {
  readonly stuckAt: RegisterOperation
  readonly taken: number
}

/** The search for one register. Events are numbered from 1 in the order of time, calls before answers. */
class Search {
  steps = 0
  readonly #operations: readonly RegisterOperation[]
  /** The operation of each event; whether it is a call; the event of the answer of each operation. */
  readonly #operationAt: Int32Array
  readonly #isCall: Uint8Array
  readonly #answerOf: Int32Array
  readonly #next: Int32Array
  readonly #previous: Int32Array
  /** Bit by bit: the operations that are taken, in the order of their calls. */
  readonly #words: Uint32Array
  readonly #valueIds = new Map<RegisterValue, number>()
  readonly #seen = new Set<string>()
  readonly #path: Taken[] = []
  #held: RegisterValue
  #answersLeft: number
  /** All words before this one are full; no bit behind `#highest` is set. */
  #lowest = 0
  #highest = -1

  constructor(operations: readonly RegisterOperation[], initial: RegisterValue) {
    this.#operations = [...operations].sort((one, other) => one.call - other.call)
    this.#held = initial
    const events = this.#operations.flatMap(({ call, end }, at) => [
      { at, isCall: true, time: call },
      ...(end === undefined ? [] : [{ at, isCall: false, time: end }]),
    ])
    // Sorting is stable: calls of one time stay in the order of the bits.
    events.sort((a, b) => a.time - b.time || Number(b.isCall) - Number(a.isCall))
    const count = events.length
    this.#operationAt = Int32Array.from([NONE, ...events.map(({ at }) => at)])
    this.#isCall = Uint8Array.from([0, ...events.map(({ isCall }) => Number(isCall))])
    this.#answerOf = new Int32Array(this.#operations.length).fill(NONE)
    for (const [at, event] of events.entries()) {
      if (!event.isCall) this.#answerOf[event.at] = at + 1
    }
    this.#next = Int32Array.from({ length: count + 1 }, (_, at) => (at === count ? NONE : at + 1))
    this.#previous = Int32Array.from({ length: count + 1 }, (_, at) => at - 1)
    this.#words = new Uint32Array((this.#operations.length + 31) >>> 5)
    this.#answersLeft = count - this.#operations.length
  }

  run(stepsMax: number): 'linearizable' | 'undecided' | Stuck {
    let stuck: Stuck | undefined
    let from = this.#next[BEFORE]!
    let isFresh = true
    // What has no answer may be left out.
    while (this.#answersLeft > 0) {
      const forced = isFresh ? this.#fittingRead() : NONE
      const call = forced === NONE ? this.#change(from) : forced
      if (call === NONE) {
        if (stuck === undefined || this.#path.length > stuck.taken) stuck = this.#stuck()
        const back = this.#goBack()
        if (back === NONE) return stuck
        from = this.#next[back]!
        isFresh = false
        continue
      }
      this.steps += 1
      if (this.steps > stepsMax) return 'undecided'
      this.#take(call, forced !== NONE)
      if (forced === NONE && this.#wasSeen()) {
        this.#putBack(this.#path.pop()!)
        from = this.#next[call]!
        isFresh = false
      } else {
        from = this.#next[BEFORE]!
        isFresh = true
      }
    }
    return 'linearizable'
  }

  /** An operation that fits the value held and does not change it, and that may be next. */
  #fittingRead(): number {
    for (
      let at = this.#next[BEFORE]!;
      at !== NONE && this.#isCall[at] === 1;
      at = this.#next[at]!
    ) {
      const { act } = this.#operations[this.#operationAt[at]!]!
      if (act.kind === 'read' && act.value === this.#held) return at
      if (act.kind === 'compareAndSet' && act.ok === false && act.expected !== this.#held) return at
    }
    return NONE
  }

  /** The first change from this event on that may be next. */
  #change(from: number): number {
    for (let at = from; at !== NONE && this.#isCall[at] === 1; at = this.#next[at]!) {
      const { act } = this.#operations[this.#operationAt[at]!]!
      if (act.kind === 'write') return at
      if (act.kind === 'compareAndSet' && act.ok !== false && act.expected === this.#held) return at
    }
    return NONE
  }

  #take(call: number, isForced: boolean): void {
    const at = this.#operationAt[call]!
    const { act } = this.#operations[at]!
    this.#path.push({ call, held: this.#held, isForced, highest: this.#highest })
    if (!isForced) this.#held = act.value
    const word = at >>> 5
    this.#words[word]! |= 1 << (at & 31)
    this.#highest = Math.max(this.#highest, word)
    while (this.#words[this.#lowest] === FULL_WORD) this.#lowest += 1
    this.#unlink(call)
    const answer = this.#answerOf[at]!
    if (answer === NONE) return
    this.#unlink(answer)
    this.#answersLeft -= 1
  }

  #putBack({ call, held, highest }: Taken): void {
    const at = this.#operationAt[call]!
    const word = at >>> 5
    this.#words[word]! &= ~(1 << (at & 31))
    this.#lowest = Math.min(this.#lowest, word)
    this.#highest = highest
    this.#held = held
    const answer = this.#answerOf[at]!
    if (answer !== NONE) {
      this.#relink(answer)
      this.#answersLeft += 1
    }
    this.#relink(call)
  }

  /** Puts operations back, up to one that another could stand for; the event of that one's call. */
  #goBack(): number {
    for (;;) {
      const last = this.#path.pop()
      if (last === undefined) return NONE
      this.#putBack(last)
      if (!last.isForced) return last.call
    }
  }

  /** Whether the same operations led to the same value before; remembers that they do. */
  #wasSeen(): boolean {
    let id = this.#valueIds.get(this.#held)
    if (id === undefined) {
      id = this.#valueIds.size
      this.#valueIds.set(this.#held, id)
    }
    let key = `${id} ${this.#lowest}`
    for (let word = this.#lowest; word <= this.#highest; word += 1) key += ` ${this.#words[word]}`
    if (this.#seen.has(key)) return true
    this.#seen.add(key)
    return false
  }

  /** The first answer in the list: its operation had to be taken, and nothing made it fit. */
  #stuck(): Stuck {
    let at = this.#next[BEFORE]!
    while (this.#isCall[at] === 1) at = this.#next[at]!
    return { stuckAt: this.#operations[this.#operationAt[at]!]!, taken: this.#path.length }
  }

  #unlink(event: number): void {
    const [before, behind] = [this.#previous[event]!, this.#next[event]!]
    this.#next[before] = behind
    if (behind !== NONE) this.#previous[behind] = before
  }

  #relink(event: number): void {
    const [before, behind] = [this.#previous[event]!, this.#next[event]!]
    this.#next[before] = event
    if (behind !== NONE) this.#previous[behind] = event
  }
}
