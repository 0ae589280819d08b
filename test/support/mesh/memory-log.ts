/**
 * @module The log in memory, in virtual time: one log, a handle for each node, and every fault that the
 * port allows. What the port promises holds whatever the faults are, but for `dropEntry` and `repeat`.
 *
 * A call goes to the log, happens there in one event, and its answer comes back. Followers are handed what
 * stands in the log when their delivery arrives, so one that is slow gets many entries at once.
 */
import assert from 'node:assert/strict'
import type { LogEntry, LogFollower, LogPlace } from '../../../src/metadata/log/port.ts'
import { type CallFate, type LogFaults, NO_ANSWER, NO_FAULTS } from './log-faults.ts'
import { MemoryLogClient } from './memory-log-client.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { NodeRun, VirtualTime } from './virtual-time.ts'

export class MemoryLog {
  readonly time: VirtualTime
  readonly faults: LogFaults
  readonly random: SeededRandom
  readonly #followers = new Set<Following>()
  #entries: LogEntry[] = []
  /** How many entries the log has forgotten. */
  #forgotten = 0
  #identity: string | undefined
  #created = 0
  #hasMajority = true
  #late: (() => void)[] = []

  constructor(time: VirtualTime, faults: Partial<LogFaults> = {}) {
    this.time = time
    this.faults = { ...NO_FAULTS, ...faults }
    this.random = time.random.fork()
  }

  /** The handle of a node, for this run of it: it hears nothing more once the node has crashed. */
  client(node: NodeRun): MemoryLogClient {
    return new MemoryLogClient(this, node)
  }

  /** The index of the last entry, for assertions. */
  get last(): number {
    return this.#forgotten + this.#entries.length
  }

  /** What the log has not forgotten, for assertions. */
  get entries(): readonly LogEntry[] {
    return this.#entries
  }

  get forgotten(): number {
    return this.#forgotten
  }

  /** How many calls of `follow` are still served, for assertions. */
  get followerCount(): number {
    return this.#followers.size
  }

  get hasMajority(): boolean {
    return this.#hasMajority
  }

  /** Without a majority nothing is appended and no call is answered; what is in the log is still handed on. */
  setMajority(hasMajority: boolean): void {
    this.#hasMajority = hasMajority
    if (!hasMajority) return
    const late = this.#late
    this.#late = []
    for (const put of late) put()
  }

  /** Loses the log with all entries, as when every member's disk is lost. Its followers hear nothing. */
  erase(): void {
    this.#entries = []
    this.#forgotten = 0
    this.#identity = undefined
    for (const follower of this.#followers) follower.stop()
  }

  // What a client's calls do where they arrive.

  create(first: Uint8Array): boolean | typeof NO_ANSWER {
    if (!this.#hasMajority) return NO_ANSWER
    if (this.#identity !== undefined) return false
    this.#created += 1
    this.#identity = `log-${this.#created}`
    this.#put(first)
    return true
  }

  identity(): string | undefined | typeof NO_ANSWER {
    return this.#hasMajority ? this.#identity : NO_ANSWER
  }

  head(): number | typeof NO_ANSWER {
    return this.#hasMajority ? this.last : NO_ANSWER
  }

  /** A late append that finds no majority waits in a member's log until there is one. */
  append(bytes: Uint8Array, fate: CallFate): undefined | typeof NO_ANSWER {
    if (!this.#hasMajority) {
      if (fate === 'late') this.#late.push(() => this.append(bytes, 'done'))
      return NO_ANSWER
    }
    if (this.#identity === undefined) return NO_ANSWER
    this.#put(bytes)
    if (fate === 'repeat') {
      this.time.at(this.random.exponential(this.faults.lateMs), () => this.append(bytes, 'done'))
    }
    return undefined
  }

  truncate(place: LogPlace): undefined | typeof NO_ANSWER {
    if (!this.#hasMajority) return NO_ANSWER
    this.checkPlace(place)
    const count = place.index - this.#forgotten
    if (count <= 0) return undefined
    this.#entries.splice(0, count)
    this.#forgotten = place.index
    return undefined
  }

  addFollower(client: MemoryLogClient, after: LogPlace, follower: LogFollower): Following {
    this.checkPlace(after)
    const following = new Following(this, client, after.index, follower)
    this.#followers.add(following)
    following.poke()
    return following
  }

  removeFollower(following: Following): void {
    this.#followers.delete(following)
  }

  /** A place is taken from an entry as it was handed on: all else is a mistake of the caller. */
  checkPlace({ index, token }: LogPlace): void {
    const wanted = index === 0 ? '' : this.#token(index)
    assert(Number.isInteger(index) && index >= 0 && index <= this.last, `no place: ${index}`)
    assert.equal(token, wanted, `the token of place ${index}`)
  }

  #token(index: number): string {
    return `${this.#identity}/${index}`
  }

  #put(bytes: Uint8Array): void {
    const index = this.last + 1
    this.#entries.push({ index, bytes, token: this.#token(index) })
    for (const follower of this.#followers) follower.poke()
  }
}

/** One call of `follow`. */
export class Following {
  readonly #log: MemoryLog
  readonly #client: MemoryLogClient
  readonly #follower: LogFollower
  /** The index of the last entry that was handed on. */
  #handed: number
  #isUnderWay = false
  #isStopped = false

  constructor(log: MemoryLog, client: MemoryLogClient, handed: number, follower: LogFollower) {
    this.#log = log
    this.#client = client
    this.#handed = handed
    this.#follower = follower
  }

  stop(): void {
    this.#isStopped = true
    this.#log.removeFollower(this)
  }

  /** There may be something to hand on. One delivery at a time is under way. */
  poke(): void {
    if (!this.#client.node.isAlive) this.stop()
    if (this.#isUnderWay || this.#handed >= this.#log.last) return
    this.#isUnderWay = true
    const { random, faults } = this.#log
    const isStuck = random.chance(faults.stuck)
    const delayMs = random.exponential(isStuck ? faults.stuckMs : faults.deliveryMs)
    this.#client.node.at(Math.max(delayMs, this.#client.stuckForMs), () => this.#deliver())
  }

  #deliver(): void {
    this.#isUnderWay = false
    // What is lost on a cut way comes again when the way is healed.
    if (this.#isStopped || this.#client.isCut) return
    if (this.#client.stuckForMs > 0) {
      this.poke()
      return
    }
    if (this.#handed < this.#log.forgotten) {
      this.stop()
      this.#follower.onCut()
      return
    }
    const batch = this.#batch()
    if (batch.length > 0) this.#follower.onEntries(batch)
    this.poke()
  }

  #batch(): readonly LogEntry[] {
    const { random, faults, entries, forgotten, last } = this.#log
    const there = last - this.#handed
    const count = random.chance(faults.split) ? 1 + random.below(there) : there
    const start = this.#handed - forgotten
    const batch = entries.slice(start, start + count)
    this.#handed += count
    return faults.dropEntry === 0 ? batch : batch.filter(() => !random.chance(faults.dropEntry))
  }
}
