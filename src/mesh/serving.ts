/**
 * @module The serving set: which members answer reads on their own, and until when. Reads stay local and
 * linearizable: a write is acknowledged when all of the set show it, and a member answers only under a lease that
 * the log itself carries.
 *
 *   present   it takes part from that entry on                      ─┐ its lease runs from the time when it
 *   beat      once a second, the next when the last was applied     ─┘ sent the last that it saw in the log
 *   absent    who was silent for longer than any lease is put out; undone by a newer beat
 *
 * The others begin to count when they apply a beat, later than it was sent: so when they stop waiting for a
 * member, its lease is over. Monotonic clocks only, of which none is compared with another.
 */
import type { Control, ReadMode, SeenEntry } from '../metadata/entry.ts'
import type { ReadGate } from '../metadata/port.ts'
import type { SessionRow } from '../metadata/rows/mesh.ts'
import { RegistryError } from '../registry/errors.ts'
import { Barrier } from './barrier.ts'
import { DirtyPaths } from './dirty-paths.ts'
import { Lag } from './lag.ts'
import { type SeenMember, SeenMembers } from './seen-members.ts'
import { Waiters } from './waiters.ts'

/** Between two beats, ms. */
const beatMs = 1_000

/** What a node waits for its own leave at most, ms. */
const leaveMsMax = 1_000

export interface ServingParts {
  readonly member: number
  readonly boot: number
  /** `strict`: answers reads on its own, and all writes wait for it. */
  readonly reads: ReadMode
  /** How long a beat allows reads, ms, and what the others wait beyond it. */
  readonly leaseMs: number
  readonly marginMs: number
  /** Monotonic, ms. */
  readonly now: () => number
  /** Sends controls through the log. */
  readonly submit: (controls: readonly Control[]) => void
  /** Whether an own entry waits for an answer of the log for longer than usual. */
  readonly isSilent: () => boolean
  /** The log's last entry (`SequencedLog.head`). */
  readonly head: () => Promise<number>
  /** Whether the disk has little room: no write is to wait for this node then. */
  readonly isShort?: () => boolean
  /** The last entry that a loss of power cannot take from this node. */
  readonly durable: () => number
  /** Tells the other members what reads show here. */
  readonly report: (visible: number) => void
  /** The set was closed. */
  readonly onClosed?: () => void
}

/**
 * How a node answers reads of what changes. `coming`: it did not take part in this run yet. `asking`: it asks the log
 * for each. `silent`: the log does not answer. `closed`: it answers none any more.
 */
export type ServingState = 'coming' | 'serving' | 'asking' | 'silent' | 'closed'

export class ServingSet implements ReadGate {
  readonly #parts: ServingParts
  readonly #members: SeenMembers
  readonly #dirty = new DirtyPaths()
  readonly #stableWaiters = new Waiters()
  readonly #visibleWaiters = new Waiters()
  readonly #barrier: Barrier
  readonly #lag = new Lag()
  /** How reads are answered, and asked to be: `barrier` for a while, too, when this node is slow. */
  #mode: ReadMode
  /** As its pace allows it. */
  #paced: ReadMode
  /** The last entry that was heard of, and that reads show. */
  #visible = 0
  /** The last entry that an earlier run has applied. */
  readonly #before: number
  /** The last that reads show: they may be ahead of what was heard. */
  #shown = 0
  #stable = 0
  #leaseUntil = Number.NEGATIVE_INFINITY
  /** The sign of life that is under way, and when it was sent; undefined: none is. */
  #sent: { readonly signal: number; readonly at: number } | undefined
  #signal = 0
  #lastBeatAt = Number.NEGATIVE_INFINITY
  #isComing = false
  #tickedAt: number
  #isClosed = false
  /** Whether this run has taken part. */
  #wasPresent = false
  #leaving: { readonly resolve: () => void; readonly until: number } | undefined

  /** `visible`: what the node has applied before it follows the log; `sessions`: the rows of it, by member. */
  constructor(
    parts: ServingParts,
    visible: number,
    sessions: Iterable<readonly [number, SessionRow]>,
  ) {
    this.#parts = parts
    this.#mode = parts.reads
    this.#paced = parts.reads
    this.#visible = visible
    this.#before = visible
    this.#tickedAt = parts.now()
    this.#members = new SeenMembers(sessions, this.#tickedAt)
    this.#barrier = new Barrier({
      head: parts.head,
      whenVisible: (index) => this.#whenVisible(index),
      now: parts.now,
    })
  }

  /** The last entry that reads here show. */
  get visible(): number {
    return this.#visible
  }

  /** The last entry that reads of all the set show. */
  get stable(): number {
    return this.#stable
  }

  /** Whether reads are answered without asking the log. */
  get isServing(): boolean {
    return this.#parts.now() < this.#leaseUntil
  }

  get state(): ServingState {
    if (this.#isClosed) return 'closed'
    if (this.isServing) return 'serving'
    if (!this.#wasPresent) return 'coming'
    return this.#parts.isSilent() || this.#barrier.hasFailed ? 'silent' : 'asking'
  }

  /** Members whose reads writes wait for. */
  get servingMembers(): readonly number[] {
    return this.#members.serving
  }

  /**
   * To be called before a read of a row that changes. Undefined: the rows here are as new as any answer that was
   * given anywhere. Else when they are; rejects with LOG_SILENT when that cannot be found out.
   */
  fresh(): Promise<void> | undefined {
    return this.#parts.now() < this.#leaseUntil ? undefined : this.#barrier.pass()
  }

  /**
   * To be called after the read, before the answer. Undefined: no member can give an older one. Else resolves
   * when none can any more; rejects with LOG_SILENT.
   */
  settled(path: string): Promise<void> | undefined {
    // What was read may rest on entries that were not heard of yet: which paths they changed is not known.
    if (this.#shown > this.#visible) {
      return this.#settledAfter(this.#whenVisible(this.#shown), path)
    }
    return this.#settledHeard(path)
  }

  /** For what rests on entries that were heard of. */
  #settledHeard(path: string): Promise<void> | undefined {
    // Or on those from before this run.
    if (this.#stable < this.#before) {
      return this.#settledAfter(this.whenStable(this.#before), path)
    }
    if (this.#dirty.isClean) return undefined
    const index = this.#dirty.indexOf(path)
    return index === undefined ? undefined : this.whenStable(index)
  }

  /** Reads get ahead again meanwhile; what was read before rests on nothing of that. */
  async #settledAfter(wait: Promise<void> | undefined, path: string): Promise<void> {
    await wait
    await this.#settledHeard(path)
  }

  /** Resolves when reads of all the set show the entry; undefined: they do. Rejects with LOG_SILENT. */
  whenStable(index: number): Promise<void> | undefined {
    if (index <= this.#stable) return undefined
    return this.#stableWaiters.add(index, this.#parts.now())
  }

  /** Entries were applied, and reads here show them. */
  onSeen(entries: readonly SeenEntry[]): void {
    for (const entry of entries) {
      for (const path of entry.paths) this.#dirty.mark(path, entry.index)
      this.#readControls(entry)
      this.#visible = entry.index
    }
    this.#visibleWaiters.reach(this.#visible)
    this.#parts.report(this.#visible)
    this.#findStable()
  }

  /** Reads here show an entry, which may not have been heard of yet. */
  onShown(index: number): void {
    this.#shown = index
  }

  /** A peer says what its reads show, beside the log and sooner. */
  onReport(member: number, boot: number, visible: number): void {
    if (this.#members.onReport(member, boot, visible)) this.#findStable()
  }

  /** To be called ten times a second or more: says that this node lives, and who does not. */
  tick(): void {
    const now = this.#parts.now()
    const silence = this.#silence(now)
    if (silence > 0) this.#members.excuse(silence)
    this.#tickedAt = now
    if (this.#leaving !== undefined && now >= this.#leaving.until) this.#leaving.resolve()
    this.#stableWaiters.expire(now)
    this.#visibleWaiters.expire(now)
    if ((this.#own()?.presentAt ?? 0) === 0) this.#comeIn()
    else if (silence === 0) {
      this.#keepPace(now)
      this.#beat(now)
      this.#putOut(now)
    }
  }

  /**
   * Goes out of the set in an orderly way: answers nothing more on its own. Resolves when no write waits for reads
   * here any more, or after a second: then the others find it out themselves.
   */
  leave(): Promise<void> {
    this.#isClosed = true
    this.#leaseUntil = Number.NEGATIVE_INFINITY
    const own = this.#own()
    if (own === undefined || own.presentAt === 0) return Promise.resolve()
    const { member, boot } = this.#parts
    this.#parts.submit([{ control: 'absent', member, boot, beat: own.beat }])
    return new Promise((resolve) => {
      this.#leaving = { resolve, until: this.#parts.now() + leaveMsMax }
    })
  }

  /** Ends all waiting: it rejects with LOG_SILENT. */
  close(): void {
    this.#isClosed = true
    this.#parts.onClosed?.()
    this.#leaving?.resolve()
    this.#leaseUntil = Number.NEGATIVE_INFINITY
    this.#stableWaiters.refuse(new RegistryError('LOG_SILENT'))
    this.#visibleWaiters.refuse(new RegistryError('LOG_SILENT'))
  }

  #own(): SeenMember | undefined {
    const own = this.#members.get(this.#parts.member)
    return own?.boot === this.#parts.boot ? own : undefined
  }

  #whenVisible(index: number): Promise<void> | undefined {
    if (index <= this.#visible) return undefined
    return this.#visibleWaiters.add(index, this.#parts.now())
  }

  /**
   * For how long the log did not answer, since the last tick: others could not be heard then, so their time
   * stands still. Else all would put out all when it answers again.
   */
  #silence(now: number): number {
    return this.#parts.isSilent() ? now - this.#tickedAt : 0
  }

  #readControls(entry: SeenEntry): void {
    const { index, member, boot, fate, controls, done } = entry
    const isOwn = member === this.#parts.member && boot === this.#parts.boot
    if (isOwn && fate === 'void') this.#goOut()
    for (const [at, it] of controls.entries()) {
      if (done[at] !== true) continue
      switch (it.control) {
        case 'present':
          this.#members.onPresent(entry, it.reads, this.#parts.now())
          this.#wasPresent ||= isOwn
          if (isOwn) this.#renewLease(it.signal, it.reads)
          break
        case 'beat':
          this.#members.onBeat(index, member, it.visible, this.#parts.now())
          if (isOwn) this.#renewLease(it.signal, this.#own()?.reads)
          break
        case 'absent':
          this.#onAbsent(it.member, it.boot)
          break
        default:
          if (it.control === 'state' && it.state === 'left') this.#onAbsent(it.member)
      }
    }
  }

  /** `boot` undefined: whichever run it is. */
  #onAbsent(member: number, boot?: number): void {
    const known = this.#members.get(member)
    if (known === undefined || known.boot !== (boot ?? known.boot)) return
    if (known === this.#own()) this.#goOut()
    this.#members.onAbsent(member)
  }

  /** From the time when it was sent: the others count from later. */
  #renewLease(signal: number, reads: ReadMode | undefined): void {
    if (this.#sent?.signal !== signal) return
    if (reads === 'strict' && this.#mode === 'strict' && !this.#isClosed)
      this.#leaseUntil = this.#sent.at + this.#parts.leaseMs
    this.#sent = undefined
    this.#isComing = false
  }

  #goOut(): void {
    this.#leaving?.resolve()
    this.#leaseUntil = Number.NEGATIVE_INFINITY
    this.#sent = undefined
    this.#isComing = false
  }

  #sayPresent(): void {
    const signal = this.#nextSignal()
    this.#parts.submit([{ control: 'present', signal, reads: this.#mode }])
  }

  /** A node that is slow answers nothing on its own before it says so: the others may stop waiting for it sooner. */
  #keepPace(now: number): void {
    if (this.#parts.reads === 'barrier' || this.#isClosed || this.#sent !== undefined) return
    this.#paced = this.#lag.judge(this.#paced, this.#visible, now)
    const mode = this.#parts.isShort?.() === true ? 'barrier' : this.#paced
    if (mode === this.#mode) return
    this.#mode = mode
    this.#leaseUntil = Number.NEGATIVE_INFINITY
    this.#sayPresent()
  }

  #nextSignal(): number {
    this.#signal += 1
    this.#sent = { signal: this.#signal, at: this.#parts.now() }
    this.#lastBeatAt = this.#sent.at
    return this.#signal
  }

  /** Comes in with all that is in the log: else writes would wait until it had caught up. */
  #comeIn(): void {
    if (this.#isComing || this.#isClosed) return
    this.#isComing = true
    const caughtUp = this.#barrier.pass()
    caughtUp.then(
      () => {
        if (!this.#isComing || this.#isClosed) return
        this.#sayPresent()
      },
      () => {
        this.#isComing = false
      },
    )
  }

  #beat(now: number): void {
    if (this.#isClosed || this.#sent !== undefined || now - this.#lastBeatAt < beatMs) return
    const said = { visible: this.#visible, durable: this.#parts.durable() }
    this.#parts.submit([{ control: 'beat', signal: this.#nextSignal(), ...said }])
  }

  #putOut(now: number): void {
    const since = now - this.#parts.leaseMs - this.#parts.marginMs
    for (const [member, { boot, beat }] of this.#members.silentSince(since)) {
      if (member === this.#parts.member) continue
      this.#parts.submit([{ control: 'absent', member, boot, beat }])
    }
  }

  #findStable(): void {
    const others = this.#members.shownByOthers(this.#parts.member)
    const stable = Math.min(this.#visible, ...others)
    if (others.length > 0) this.#lag.hear(others, this.#parts.now())
    if (stable <= this.#stable) return
    this.#stable = stable
    this.#dirty.settle(stable)
    this.#stableWaiters.reach(stable)
  }
}
