/**
 * @module Puts what a node wants to change into the log: one entry at a time, so that the node's transactions keep
 * their order; what comes meanwhile shares the next. An entry whose answer is lost is sent again, the same bytes,
 * until it is seen in the log, where it counts once (`apply/entry.ts`).
 */
import type { AppliedEntry, Control, Entry, EntryFate } from '../entry.ts'
import { DATABASES } from '../schema.ts'
import type { Change, CommitOutcome, Transaction } from '../transaction.ts'
import { encodeBody, encodeEntry, sizeOf } from './codec.ts'

/** Of one entry: more would make the first wait for the last. */
const transactionsMax = 256
const bytesMax = 512 * 1024

/** Between two tries of an append that was refused or not answered, ms: doubles up to the second. */
const retryMsMin = 20
const retryMsMax = 1_000

/** An entry that was not seen in the log after so long says that the log does not answer, ms. */
const silentMs = 300

/** What a node submits together: it is applied as one, in this order. */
export interface Order {
  readonly controls: readonly Control[]
  readonly transactions: readonly Transaction[]
}

/** What became of an order. `void` and `poison`: nothing of it was done, nor will be. */
export interface Settled {
  readonly id: number
  /** Where it stands in the log; of local changes alone, the last entry that was applied. */
  readonly index: number
  readonly fate: Exclude<EntryFate, 'kept' | 'repeated'>
  readonly outcomes: readonly CommitOutcome[]
  /** For each control whether it was done. */
  readonly done: readonly boolean[]
}

export interface SenderParts {
  readonly append: (bytes: Uint8Array) => Promise<void>
  readonly member: number
  readonly boot: number
  readonly onSettled: (settled: Settled) => void
  /** The run may not take part: it is of no member, or another run has its number or a later one. */
  readonly onRefused: () => void
  /** Monotonic, ms. */
  readonly now: () => number
}

type LocalChanges = ReadonlyMap<number, readonly Change[]>

interface Waiting extends Order {
  readonly id: number
  readonly bytes: number
  /** Changes of this node's own tables, by the transaction's place. */
  readonly local: LocalChanges
}

interface UnderWay {
  readonly orders: readonly Waiting[]
  readonly local: LocalChanges
  /** Of the body, this one first. */
  readonly pieces: readonly Uint8Array[]
  readonly seq: number
  readonly bytes: Uint8Array
  readonly sentAt: number
  /** Undefined while the log is asked. */
  retryAt: number | undefined
  retryMs: number
}

export class Sender {
  readonly #parts: SenderParts
  #queue: Waiting[] = []
  #underWay: UnderWay | undefined
  #seq = 0
  /** Whether the run takes part: until it says so, all that it sends would be void. */
  #isPresent = false
  #isClosed = false

  constructor(parts: SenderParts) {
    this.#parts = parts
  }

  /** Whether the entry that is on its way through the log is so for longer than usual. */
  get isSilent(): boolean {
    const way = this.#underWay
    return way !== undefined && this.#parts.now() - way.sentAt > silentMs
  }

  /**
   * Takes an order of shared changes, with local ones among them at most. It is settled under this id when it was
   * applied or is void; never, when the process ends before. What says that the run is present goes first.
   */
  submit(id: number, { controls, transactions }: Order): void {
    const local = new Map<number, readonly Change[]>()
    const shared = transactions.map((it, place) => {
      const own = it.changes.filter(isLocal)
      if (own.length === 0) return it
      local.set(place, own)
      return { ...it, changes: it.changes.filter((one) => !isLocal(one)) }
    })
    const bytes = shared.reduce((sum, it) => sum + sizeOf(it), 0)
    const order = { id, controls, transactions: shared, local, bytes }
    if (saysPresent(order)) this.#queue.unshift(order)
    else this.#queue.push(order)
    this.#send()
  }

  /** Takes an order back that was not sent yet: then nothing of it will be done. False: it was sent, or settled. */
  withdraw(id: number): boolean {
    const at = this.#queue.findIndex((order) => order.id === id)
    if (at >= 0) this.#queue.splice(at, 1)
    return at >= 0
  }

  /** The local changes of an own entry. */
  localOf({ member, boot, seq, piecesLeft }: Entry): LocalChanges | undefined {
    const way = this.#underWay
    if (way === undefined || way.local.size === 0 || piecesLeft > 0) return undefined
    if (member !== this.#parts.member || boot !== this.#parts.boot || seq !== way.seq)
      return undefined
    return way.local
  }

  /** An entry was applied: settles what it brought of this node's. */
  onApplied(it: AppliedEntry): void {
    this.#notePresence(it)
    const way = this.#underWay
    if (way === undefined || it.member !== this.#parts.member || it.boot !== this.#parts.boot)
      return
    if (it.seq !== way.seq) return
    this.#underWay = undefined
    // What is under way was never applied before: this is of another run with the same number.
    if (it.fate === 'repeated') return this.#parts.onRefused()
    if (it.fate === 'void' && way.orders.some(saysPresent)) this.#parts.onRefused()
    if (it.fate === 'kept') this.#sendPiece(way.orders, way.local, way.pieces.slice(1))
    else this.#settle(way, it, it.fate)
    this.#send()
  }

  /** To be called some twenty times a second: what has to be sent again is. */
  tick(): void {
    const way = this.#underWay
    if (way?.retryAt !== undefined && this.#parts.now() >= way.retryAt) this.#append(way)
  }

  /** Sends nothing more. */
  close(): void {
    this.#isClosed = true
    this.#queue = []
  }

  #notePresence({ member, boot, fate, body, done }: AppliedEntry): void {
    const isOwn = member === this.#parts.member && boot === this.#parts.boot
    if (isOwn && fate === 'void') this.#isPresent = false
    for (const [at, it] of body.controls.entries()) {
      if (done[at] !== true) continue
      if (isOwn && it.control === 'present') this.#isPresent = true
      if (
        it.control === 'absent' &&
        it.member === this.#parts.member &&
        it.boot === this.#parts.boot
      ) {
        this.#isPresent = false
      }
    }
  }

  #settle(way: UnderWay, it: AppliedEntry, fate: Settled['fate']): void {
    let transactions = 0
    let controls = 0
    for (const order of way.orders) {
      const outcomes = it.outcomes.slice(transactions, transactions + order.transactions.length)
      const done = it.done.slice(controls, controls + order.controls.length)
      transactions += order.transactions.length
      controls += order.controls.length
      this.#parts.onSettled({ id: order.id, index: it.index, fate, outcomes, done })
    }
  }

  #send(): void {
    if (this.#underWay !== undefined || this.#isClosed) return
    const [first] = this.#queue
    if (first === undefined || !(this.#isPresent || saysPresent(first))) return
    const orders = this.#takeOrders()
    const local = new Map<number, readonly Change[]>()
    let before = 0
    for (const order of orders) {
      for (const [place, changes] of order.local) local.set(before + place, changes)
      before += order.transactions.length
    }
    const pieces = encodeBody({
      controls: orders.flatMap(({ controls }) => controls),
      transactions: orders.flatMap(({ transactions }) => transactions),
    })
    this.#sendPiece(orders, local, pieces)
  }

  #takeOrders(): Waiting[] {
    let taken = 0
    let count = 0
    let bytes = 0
    for (const order of this.#queue) {
      count += order.transactions.length
      bytes += order.bytes
      if (taken > 0 && (count > transactionsMax || bytes > bytesMax)) break
      taken += 1
    }
    return this.#queue.splice(0, taken)
  }

  #sendPiece(orders: readonly Waiting[], local: LocalChanges, pieces: readonly Uint8Array[]): void {
    const { member, boot } = this.#parts
    this.#seq += 1
    const seq = this.#seq
    const piecesLeft = pieces.length - 1
    const bytes = encodeEntry({ member, boot, seq, piecesLeft, body: pieces[0]! })
    const sentAt = this.#parts.now()
    this.#underWay = { orders, local, pieces, seq, bytes, sentAt, retryAt: undefined, retryMs: 0 }
    this.#append(this.#underWay)
  }

  #append(way: UnderWay): void {
    way.retryAt = undefined
    this.#parts.append(way.bytes).catch(() => {
      way.retryMs = Math.min(retryMsMax, Math.max(retryMsMin, way.retryMs * 2))
      way.retryAt = this.#parts.now() + way.retryMs
    })
  }
}

function saysPresent({ controls }: Order): boolean {
  return controls.some(({ control }) => control === 'present')
}

function isLocal({ in: table }: Change): boolean {
  return DATABASES[table].scope === 'local'
}
