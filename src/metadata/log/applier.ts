/**
 * @module Applies the entries of the log to the store of a node, all that came together in one write transaction.
 * Keeps where it stands with them: a crash at any point goes on behind the last that was written.
 */
import { applyEntry } from '../apply/entry.ts'
import { levelOf } from '../apply/level.ts'
import type { Around } from '../apply/transaction.ts'
import type { AppliedEntry, Entry } from '../entry.ts'
import type { RowAccess } from '../row-access.ts'
import type { PlaceRow, SessionRow } from '../rows/mesh.ts'
import type { Transaction } from '../transaction.ts'
import { ChainedRows, chainStart } from './chain.ts'
import { decodeBody, decodeEntry, MalformedEntry } from './codec.ts'
import { HeldSessions } from './held-sessions.ts'
import type { LogEntry } from './port.ts'

/** Chains that are kept for a comparison with other nodes: an hour of beats of a few of them. */
const chainsMax = 16_384

/** Applied in memory only, longest, ms. */
const heldMsMax = 1_000

/** A beat takes so much in an entry, bytes: what is longer is not looked into before it is applied. */
const beatBytesMax = 256

/** The store under it, with one writer. */
export interface ReplicaStore extends RowAccess {
  /** Runs `work` in one write transaction. Throws what it throws, with nothing applied. */
  writeSync<T>(work: () => T): T
}

export interface ApplierParts {
  readonly store: ReplicaStore
  /** Which log the entries are of. */
  readonly identity: string
  /** Monotonic, ms. */
  readonly now: () => number
  /** The changes of this node's own tables that belong to a transaction which it sent itself. */
  readonly withLocal: (
    entry: Entry,
  ) => ((it: Transaction, place: number) => Transaction) | undefined
  /** An entry that the program cannot apply was left out, here and everywhere. */
  readonly onPoison: (index: number, error: unknown) => void
  readonly around?: Around | undefined
  /** The newest rules that the program knows. Default: as it is. */
  readonly level?: number | undefined
}

interface Decoded {
  readonly it: LogEntry
  /** Undefined: not understood, by any node. */
  readonly entry: Entry | undefined
  readonly isPoison?: boolean
}

const unheard = { member: 0, boot: 0, seq: 0, fate: 'void', outcomes: [], done: [] } as const

export class Applier {
  readonly #parts: ApplierParts
  readonly #rows: HeldSessions
  readonly #chains = new Map<number, Uint8Array>()
  #place: PlaceRow
  #written: number
  #durable: number
  #heldSince: number | undefined

  constructor(parts: ApplierParts) {
    this.#parts = parts
    this.#rows = new HeldSessions(parts.store)
    const stored = parts.store.get('places', 'applied') as PlaceRow | undefined
    this.#place = stored ?? { log: parts.identity, index: 0, token: '', chain: chainStart }
    this.#written = this.#place.index
    this.#durable = this.#written
  }

  /** The last entry that was applied, and where to follow on. */
  get place(): PlaceRow {
    return this.#place
  }

  /** The last entry that a loss of power cannot take: the store may lose its last commit, never more. */
  get durable(): number {
    return this.#durable
  }

  /** The chain behind an entry; undefined when that is too long ago, or not applied yet. */
  chainAt(index: number): Uint8Array | undefined {
    return index === this.#place.index ? this.#place.chain : this.#chains.get(index)
  }

  /** The rules in force, up to here. */
  get level(): number {
    return levelOf(this.#rows)
  }

  /** How many members take part. */
  get presentCount(): number {
    const keys = this.#rows.firstKeys('members', []) as string[]
    return keys.filter((key) => {
      const session = this.#rows.get('sessions', key) as SessionRow | undefined
      return session !== undefined && session.presentAt > 0
    }).length
  }

  /**
   * Applies the first of the entries that follow on the last one, as many as can be together, and returns them.
   * What says no more than that a member lives may be in memory only; all else is in the store then. Throws what
   * the store throws, with nothing applied.
   */
  apply(logged: readonly LogEntry[]): readonly AppliedEntry[] {
    const all = logged.map((it) => ({ it, entry: decoded(it) }))
    try {
      return this.#together(all)
    } catch (error) {
      if (!isFaultOfProgram(error)) throw error
      return this.#alone(all[0]!)
    }
  }

  /** Writes what was applied in memory only, once it is old enough. Throws what the store throws. */
  tick(): void {
    if (this.#heldSince !== undefined && this.#parts.now() - this.#heldSince >= heldMsMax) {
      this.flush()
    }
  }

  /** Writes what was applied in memory only. Throws what the store throws. */
  flush(): void {
    if (this.#heldSince === undefined) return
    this.#parts.store.writeSync(() => this.#rows.write(this.#place))
    this.#onWritten(this.#place)
  }

  #alone(one: Decoded): AppliedEntry[] {
    try {
      return this.#together([one])
    } catch (error) {
      if (!isFaultOfProgram(error)) throw error
      const applied = this.#together([{ ...one, isPoison: true }])
      this.#parts.onPoison(one.it.index, error)
      return applied
    }
  }

  #together(all: readonly Decoded[]): AppliedEntry[] {
    const before = this.#place
    const chains: PlaceRow[] = []
    const applyAll = () => {
      // The store may run it again.
      chains.length = 0
      return all.map((one) => this.#one(one, chains.at(-1) ?? before, chains))
    }
    try {
      let applied: AppliedEntry[]
      if (all.every(isBeat)) {
        applied = applyAll()
        this.#rows.hold()
        this.#heldSince ??= this.#parts.now()
      } else {
        applied = this.#parts.store.writeSync(() => {
          const entries = applyAll()
          this.#rows.write(chains.at(-1)!)
          return entries
        })
        this.#onWritten(chains.at(-1)!)
      }
      this.#place = chains.at(-1)!
      this.#keepChains(chains)
      return applied
    } catch (error) {
      this.#rows.abandon()
      throw error
    }
  }

  #one(one: Decoded, { chain }: PlaceRow, chains: PlaceRow[]): AppliedEntry {
    const { it, entry } = one
    const rows = new ChainedRows(this.#rows, chain, it)
    const applied =
      entry === undefined
        ? { ...unheard, index: it.index, body: { controls: [], transactions: [] } }
        : applyEntry(rows, it.index, entry, {
            decode: decodeBody,
            withLocal: this.#parts.withLocal(entry),
            around: this.#parts.around,
            isPoison: one.isPoison === true,
            ...(this.#parts.level !== undefined && { level: this.#parts.level }),
          })
    const log = this.#parts.identity
    chains.push({ log, index: it.index, token: it.token, chain: rows.end(applied) })
    return applied
  }

  #onWritten({ index }: PlaceRow): void {
    this.#rows.written()
    this.#durable = this.#written
    this.#written = index
    this.#heldSince = undefined
  }

  #keepChains(chains: readonly PlaceRow[]): void {
    for (const { index, chain } of chains) {
      this.#chains.set(index, chain)
      this.#chains.delete(index - chainsMax)
    }
  }
}

function decoded({ bytes }: LogEntry): Entry | undefined {
  try {
    return decodeEntry(bytes)
  } catch (error) {
    if (error instanceof MalformedEntry) return undefined
    throw error
  }
}

/** Whether it says no more than that a member lives. */
function isBeat({ entry, isPoison }: Decoded): boolean {
  if (entry === undefined || isPoison === true) return false
  if (entry.piecesLeft > 0 || entry.body.byteLength > beatBytesMax) return false
  try {
    const { controls, transactions } = decodeBody([entry.body])
    return transactions.length === 0 && controls.every(({ control }) => control === 'beat')
  } catch {
    return false
  }
}

/**
 * Whether the program is at fault and not the store, whose errors are plain ones. Then every node that has these
 * rules fails in the same way.
 */
function isFaultOfProgram(error: unknown): boolean {
  if (error instanceof MalformedEntry) return true
  return (
    error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError
  )
}
