/**
 * @module What clients did to registers (a key, a value), and what they heard of it: the input of
 * `linearizable.ts`. A history is written down by who calls, never by who is called.
 */

/** What a register holds; undefined: nothing. */
export type RegisterValue = string | undefined

export type RegisterAct =
  | { readonly kind: 'read'; readonly value: RegisterValue }
  | { readonly kind: 'write'; readonly value: RegisterValue }
  | {
      readonly kind: 'compareAndSet'
      readonly expected: RegisterValue
      readonly value: RegisterValue
      /** False: it was refused because the register held something else. Undefined: it is not known. */
      readonly ok: boolean | undefined
    }

export interface RegisterOperation {
  readonly key: string
  readonly act: RegisterAct
  /** When it was called, by the one clock of the history. Equal times overlap. */
  readonly call: number
  /**
   * When its answer came. Undefined: none came that says what happened, so it may take effect at any time
   * after its call, or never.
   */
  readonly end: number | undefined
}

/** What a write or a compare-and-set is called with. */
export type RegisterChange =
  | { readonly kind: 'write'; readonly value: RegisterValue }
  | {
      readonly kind: 'compareAndSet'
      readonly expected: RegisterValue
      readonly value: RegisterValue
    }

/** An operation that is under way. It is ended once; one that is never ended is unknown. */
export interface OpenRead {
  /** It was answered with this value. */
  saw(value: RegisterValue): void
}

export interface OpenChange {
  /** It was done, or for a compare-and-set: it was, or was not. */
  done(ok?: boolean): void
  /** It is known not to have been done, and to say nothing of the register: a refused connection, a 503 before any work. */
  refused(): void
}

/** Writes a history down. Its time is a counter: of two events, the one that came later is later. */
export class HistoryRecorder {
  readonly #slots: (RegisterOperation | undefined)[] = []
  #time = 0

  read(key: string): OpenRead {
    const call = this.#tick()
    return {
      saw: (value) => {
        this.#slots.push({ key, act: { kind: 'read', value }, call, end: this.#tick() })
      },
    }
  }

  change(key: string, change: RegisterChange): OpenChange {
    const call = this.#tick()
    const act = (ok: boolean | undefined): RegisterAct =>
      change.kind === 'write' ? change : { ...change, ok }
    const slot = this.#slots.length
    this.#slots.push({ key, act: act(undefined), call, end: undefined })
    return {
      done: (ok = true) => {
        this.#slots[slot] = { key, act: act(ok), call, end: this.#tick() }
      },
      refused: () => {
        this.#slots[slot] = undefined
      },
    }
  }

  get operations(): readonly RegisterOperation[] {
    return this.#slots.filter((it) => it !== undefined)
  }

  #tick(): number {
    this.#time += 1
    return this.#time
  }
}

/**
 * The operations of one register that have a say. An unknown change is left out when nothing can have
 * seen its value: no read and no compare that succeeded, or may have, and no failed compare, for that one
 * may have failed because of it. Linear.
 */
export function withoutUnseen(operations: readonly RegisterOperation[]): RegisterOperation[] {
  /** The last end of an operation that saw the value, by value. */
  const seenUntil = new Map<RegisterValue, number>()
  /** The last end of a failed compare, by what it expected; only two kinds of value are ever needed. */
  const failedUntil = new Map<RegisterValue, number>()
  for (const { act, end = Number.POSITIVE_INFINITY } of operations) {
    if (act.kind === 'read') raise(seenUntil, act.value, end)
    else if (act.kind === 'compareAndSet') {
      raise(act.ok === false ? failedUntil : seenUntil, act.expected, end)
    }
  }
  const latest = [...failedUntil].sort(([, one], [, other]) => other - one).slice(0, 2)
  return operations.filter(({ act, call, end }) => {
    if (end !== undefined) return true
    // It heard nothing, and changes nothing.
    if (act.kind === 'read') return false
    const { value } = act
    const failed = latest.find(([expected]) => expected !== value)?.[1] ?? Number.NEGATIVE_INFINITY
    const seen = seenUntil.get(value) ?? Number.NEGATIVE_INFINITY
    return Math.max(failed, seen) >= call
  })
}

function raise(times: Map<RegisterValue, number>, value: RegisterValue, end: number): void {
  times.set(value, Math.max(times.get(value) ?? Number.NEGATIVE_INFINITY, end))
}
