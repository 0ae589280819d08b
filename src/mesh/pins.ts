/**
 * @module Promises of this node to keep copies that no row names yet: one pin for each, a number within the run.
 *
 *   made       the file is in place, whole and flushed
 *   used       a transaction that names it was applied: from there on the row keeps the file
 *   released   the receiver of the upload says that it will not be used
 *   revoked    it was neither for ten minutes, or the copy is bad: this node says so in the log, and the pin lives
 *              until that is applied here. No clock ends one: the transaction may be in the log already
 *
 * A digest has as many pins as there are uploads of it under way: when one of them is used and the row goes again,
 * the others still rest on the file. Pins are of a run and of memory: all are over when the member's next run
 * comes in (`metadata/apply/held.ts`).
 */
import type { Control } from '../metadata/entry.ts'
import type { CopyNews } from '../metadata/log/copy-news.ts'
import type { HeldCopy } from '../metadata/transaction.ts'

/** How long a pin may stay unused, ms. */
const keepMsDefault = 600_000

/** Pins of one revocation: as an entry of the log, some KiB. */
const revokedMax = 1_000

export interface PinsParts {
  readonly member: number
  readonly boot: number
  /** Monotonic, ms. */
  readonly now: () => number
  /**
   * Sends controls through the log. Calls `ended` when they were applied, after `onNews` of that entry, or when
   * they are void; never, when the process ends before.
   */
  readonly submit: (controls: readonly Control[], ended: () => void) => void
  /** A pin is over: its file may have nothing left that keeps it. `isUsed`: a row came. */
  readonly onEnded: (digest: string, isUsed: boolean) => void
  readonly keepMs?: number
}

interface Pin {
  readonly digest: string
  readonly madeAt: number
}

export class Pins {
  readonly #parts: PinsParts
  /** By number, in order. */
  readonly #pins = new Map<number, Pin>()
  readonly #ofDigest = new Map<string, Set<number>>()
  #next = 1
  #isRevoking = false

  constructor(parts: PinsParts) {
    this.#parts = parts
  }

  /** Pins that are not over. */
  get size(): number {
    return this.#pins.size
  }

  /** The caller holds the digest's lock, and the verified file is in place and flushed. */
  make(digest: string): HeldCopy {
    const pin = this.#next
    this.#next += 1
    this.#pins.set(pin, { digest, madeAt: this.#parts.now() })
    const all = this.#ofDigest.get(digest)
    if (all === undefined) this.#ofDigest.set(digest, new Set([pin]))
    else all.add(pin)
    const { member, boot } = this.#parts
    return { member, boot, pin }
  }

  /** Whether an upload rests on the file. */
  isPinned(digest: string): boolean {
    return this.#ofDigest.has(digest)
  }

  /** The receiver gives a pin back: no transaction that names it is in the log, or will be. */
  release({ boot, pin }: HeldCopy): void {
    if (boot === this.#parts.boot) this.#end(pin, false)
  }

  /** The copy is not what it should be: its pins are to be over soon. */
  disown(digest: string): void {
    for (const pin of this.#ofDigest.get(digest) ?? []) {
      this.#pins.set(pin, { digest, madeAt: Number.NEGATIVE_INFINITY })
    }
  }

  /** An entry was applied, and reads here show it, or more. */
  onNews({ pinsUsed, pinsRevoked }: CopyNews): void {
    for (const pin of pinsUsed) this.#end(pin, true)
    for (const pin of pinsRevoked) this.#end(pin, false)
  }

  /** To be called about once a second: takes back what was not used in time. One revocation is under way at most. */
  tick(): void {
    if (this.#isRevoking) return
    const { now, submit, keepMs = keepMsDefault } = this.#parts
    const dueAt = now() - keepMs
    const due: number[] = []
    let below = this.#next
    for (const [pin, { madeAt }] of this.#pins) {
      if (madeAt <= dueAt && due.length < revokedMax) due.push(pin)
      else if (below === this.#next) below = pin
    }
    if (due.length === 0) return
    this.#isRevoking = true
    submit([{ control: 'revoke', pins: due, below }], () => {
      this.#isRevoking = false
    })
  }

  #end(pin: number, isUsed: boolean): void {
    const digest = this.#pins.get(pin)?.digest
    if (digest === undefined) return
    this.#pins.delete(pin)
    const all = this.#ofDigest.get(digest)
    all?.delete(pin)
    if (all?.size === 0) this.#ofDigest.delete(digest)
    this.#parts.onEnded(digest, isUsed)
  }
}
