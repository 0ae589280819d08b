/**
 * @module One node's end of the log: puts what the node wants to change into it, and applies what stands in it,
 * whoever sent it. Runs in the thread that writes the metadata.
 */

import { knownLevel, UnknownLevel } from '../apply/level.ts'
import { type Around, applyTogether } from '../apply/transaction.ts'
import type { AppliedEntry } from '../entry.ts'
import type { CommitOutcome, Transaction } from '../transaction.ts'
import { Applier, type ReplicaStore } from './applier.ts'
import { ChainWatch, type SaidChain } from './chain.ts'
import type { LogEntry, LogPlace, SequencedLog } from './port.ts'
import { type Order, Sender, type Settled } from './sender.ts'

/** Until a store that refused is tried again, ms. */
const stuckMs = 1_000

export interface ReplicaListener {
  /** Entries were applied, and reads of the store show them. Own orders among them are settled right behind. */
  onApplied(entries: readonly AppliedEntry[]): void
  onSettled(settled: Settled): void
  /**
   * The log has forgotten what comes next. Nothing is applied until a peer's tail was taken and the log is followed
   * again (`takeTail`, `followAgain`), or nothing more ever (`giveUp`).
   */
  onCut(): void
  /** The store refuses; the same entries are tried again. */
  onStuck(error: unknown): void
  /** An entry that the program cannot apply was left out, here and everywhere. */
  onPoison(index: number, error: unknown): void
  /** The run may not take part: it is of no member, or another run has its number or a later one. It has ended. */
  onRefused(): void
  /** A member has other rows here than this node, behind that entry. */
  onConflict(member: number, index: number): void
  /** As many have other rows as could be a majority: nothing here can be believed. It has ended. */
  onFenced(index: number): void
  /** The rules in force are not known to this program. It has ended. */
  onOutdated(level: number): void
  /** Entries came that do not follow on the last one: they were dropped, and are asked for again. */
  onGap(index: number): void
}

export interface ReplicaParts {
  readonly log: SequencedLog
  /** Which log it is: the one that the store has followed so far. */
  readonly identity: string
  readonly store: ReplicaStore
  readonly member: number
  /** Greater than that of every earlier run of the member, whatever of it was lost. */
  readonly boot: number
  readonly listener: ReplicaListener
  /** Monotonic, ms. */
  readonly now: () => number
  readonly around?: Around
  /** The newest rules that the program knows. Default: as it is. */
  readonly level?: number | undefined
  /** Takes entries that were applied, for peers that the log leaves behind. */
  readonly keep?: (entries: readonly LogEntry[]) => void
}

export class Replica {
  readonly #parts: ReplicaParts
  readonly #applier: Applier
  readonly #sender: Sender
  readonly #watch = new ChainWatch()
  #nextId = 1
  #unfollow: (() => void) | undefined
  #followAt: number | undefined
  #isFollowing = false
  #isClosed = false
  #isCut = false
  #isHeld = false
  /** Whether the store has refused what came last. */
  #isStuck = false
  /** What a peer's tail has brought up to there is not known to be what the log had; 0: all is. */
  #unproven = 0

  constructor(parts: ReplicaParts) {
    this.#parts = parts
    const { log, identity, store, member, boot, listener, now, around } = parts
    this.#sender = new Sender({
      append: (bytes) => log.append(bytes),
      member,
      boot,
      onSettled: (settled) => listener.onSettled(settled),
      onRefused: () => {
        this.#end()
        listener.onRefused()
      },
      now,
    })
    this.#applier = new Applier({
      store,
      identity,
      now,
      around,
      level: parts.level,
      onPoison: (index, error) => listener.onPoison(index, error),
      withLocal: (entry) => {
        const local = this.#sender.localOf(entry)
        return local && ((it, place) => withChanges(it, local.get(place) ?? []))
      },
    })
  }

  /** Begins to follow the log, by whose rules it has to be able to go. */
  start(): void {
    const { level } = this.#applier
    if (level > this.#level) this.#outdated(level)
    else this.#follow()
  }

  get #level(): number {
    return this.#parts.level ?? knownLevel
  }

  #outdated(level: number): void {
    this.#end()
    this.#parts.listener.onOutdated(level)
  }

  /** The last entry that was applied here. */
  get applied(): number {
    return this.#applier.place.index
  }

  /** The last entry that a loss of power cannot take from the store. */
  get durable(): number {
    return this.#applier.durable
  }

  /** The chain behind an entry; undefined when that is too long ago, or not applied yet. */
  chainAt(index: number): Uint8Array | undefined {
    return this.#applier.chainAt(index)
  }

  /** Whether an entry of this node is on its way through the log for longer than usual: the log does not answer. */
  get isSilent(): boolean {
    return this.#sender.isSilent
  }

  /**
   * Takes an order of shared changes, with such of this node's own tables among them at most. It is settled under
   * the returned id when it was applied or is void, and never when the process ends before.
   */
  submit(order: Order): number {
    const id = this.#nextId++
    const controls = order.controls.map((it) => {
      if (it.control === 'present') return { ...it, level: this.#level }
      return it.control === 'beat' && this.applied > 0 ? { ...it, chain: this.#chain } : it
    })
    this.#sender.submit(id, { ...order, controls })
    return id
  }

  /** Whether what is applied here follows from the log, and what comes in it is: else no read can rest on it. */
  get isCurrent(): boolean {
    return this.isProven && !this.#isHeld && !this.#isStuck
  }

  /** Whether all that was applied here is known to be of the log. */
  get isProven(): boolean {
    return !this.#isCut && this.#unproven === 0
  }

  /** Whether the store has refused what came last: it is tried again. */
  get isStuck(): boolean {
    return this.#isStuck
  }

  /** Whether nothing is applied for now. */
  get isHeld(): boolean {
    return this.#isHeld
  }

  /** Applies nothing more of the log, or goes on with it. What stands in it waits there. */
  hold(isHeld: boolean): void {
    if (isHeld === this.#isHeld) return
    this.#isHeld = isHeld
    if (this.#isCut || this.#isClosed) return
    this.#stopFollowing()
    this.#followAt = this.#parts.now()
  }

  /** The last entry that was applied, as the log knows it. */
  get place(): LogPlace {
    return this.#applier.place
  }

  /**
   * Applies what a peer has kept of the log, while this node is cut off from it. False: the entries do not follow on
   * the last one here, or the store refuses.
   */
  takeTail(entries: readonly LogEntry[]): boolean {
    const last = entries.at(-1)
    if (!this.#isCut || this.#isClosed || last === undefined) return false
    if (!continues(entries, this.applied)) return false
    this.#unproven = last.index
    this.#isFollowing = true
    this.#applyAll(entries)
    this.#isFollowing = false
    return this.applied === last.index
  }

  /** Follows the log from behind the tail that was taken. What that has brought is proven by others' next beats. */
  followAgain(): void {
    if (this.#isCut && !this.#isClosed) this.#follow()
  }

  /** Takes what a tail has brought for what the log had: it is all there, and no other member is left to say so. */
  accept(): void {
    this.#unproven = 0
  }

  /** There is no tail for it: nothing more is applied. */
  giveUp(): void {
    this.#end()
  }

  /** Applies transactions that change this node's own tables alone, here and now. Throws what the store throws. */
  applyLocal(transactions: readonly Transaction[]): readonly CommitOutcome[] {
    const { store, around } = this.#parts
    return store.writeSync(() => applyTogether(store, [transactions], around))[0]!
  }

  get #chain(): SaidChain {
    const { index, chain } = this.#applier.place
    return { at: index, hash: chain }
  }

  /** Takes an order back that was not sent yet: then nothing of it will be done. False: it was sent, or settled. */
  withdraw(id: number): boolean {
    return this.#sender.withdraw(id)
  }

  /** To be called some twenty times a second: what has to be tried again is. */
  tick(): void {
    if (this.#isClosed) return
    this.#sender.tick()
    const isDue = this.#followAt !== undefined && this.#parts.now() >= this.#followAt
    if (isDue && !this.#isHeld) this.#follow()
    this.#guarded(() => this.#applier.tick())
  }

  /** Follows and sends no more, and writes what was applied in memory only. Throws what the store throws. */
  close(): void {
    this.#end()
    this.#applier.flush()
  }

  #end(): void {
    this.#isClosed = true
    this.#sender.close()
    this.#stopFollowing()
  }

  #stopFollowing(): void {
    this.#isFollowing = false
    this.#unfollow?.()
    this.#unfollow = undefined
  }

  #follow(): void {
    this.#followAt = undefined
    this.#isCut = false
    this.#isFollowing = true
    this.#unfollow = this.#parts.log.follow(this.#applier.place, {
      onEntries: (entries) => this.#onEntries(entries),
      onCut: () => {
        this.#stopFollowing()
        this.#isCut = true
        this.#parts.listener.onCut()
      },
    })
  }

  #onEntries(entries: readonly LogEntry[]): void {
    const first = entries[0]
    if (first !== undefined && this.#isFollowing && !continues(entries, this.applied)) {
      this.#stopFollowing()
      this.#followAt = this.#parts.now()
      this.#parts.listener.onGap(first.index)
    }
    this.#applyAll(entries)
  }

  #applyAll(entries: readonly LogEntry[]): void {
    let left = entries
    while (left.length > 0 && this.#isFollowing) {
      this.#guarded(() => {
        const applied = this.#applier.apply(left)
        this.#isStuck = false
        this.#parts.keep?.(left.slice(0, applied.length))
        left = left.slice(applied.length)
        this.#parts.listener.onApplied(applied)
        for (const it of applied) {
          this.#sender.onApplied(it)
          this.#compareChains(it)
        }
      })
    }
  }

  #compareChains({ member, body, done }: AppliedEntry): void {
    for (const [at, it] of body.controls.entries()) {
      if (it.control !== 'beat' || it.chain === undefined || done[at] !== true) continue
      const own = this.#applier.chainAt(it.chain.at)
      const { presentCount } = this.#applier
      this.#prove(member, it.chain, own)
      const { isNew, isFenced } = this.#watch.hear(member, it.chain, own, presentCount)
      if (isNew) this.#parts.listener.onConflict(member, it.chain.at)
      if (!isFenced) continue
      this.#end()
      this.#parts.listener.onFenced(it.chain.at)
    }
  }

  /** A beat that the log itself has brought: its member has come to the same rows behind the tail. */
  #prove(member: number, said: SaidChain, own: Uint8Array | undefined): void {
    if (this.#isCut || member === this.#parts.member || own === undefined) return
    if (said.at >= this.#unproven && Buffer.compare(said.hash, own) === 0) this.#unproven = 0
  }

  /** While the store refuses, nothing is applied; it all comes again. */
  #guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      if (error instanceof UnknownLevel) return this.#outdated(error.level)
      this.#isStuck = true
      this.#stopFollowing()
      this.#followAt = this.#parts.now() + stuckMs
      this.#parts.listener.onStuck(error)
    }
  }
}

/** Whether the entries follow on the last one, without holes. */
function continues(entries: readonly LogEntry[], last: number): boolean {
  return entries.every(({ index }, at) => index === last + 1 + at)
}

function withChanges(it: Transaction, changes: Transaction['changes']): Transaction {
  return changes.length === 0 ? it : { ...it, changes: [...it.changes, ...changes] }
}
