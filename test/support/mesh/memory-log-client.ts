/**
 * @module A node's handle of the log in memory: the port, and the faults of the way between the node and
 * the log. Answers are events of the node; requests on their way are not, so they outlive its crash.
 */
import type { LogFollower, LogPlace, SequencedLog } from '../../../src/metadata/log/port.ts'
import { type CallFate, NO_ANSWER } from './log-faults.ts'
import type { Following, MemoryLog } from './memory-log.ts'
import type { NodeRun, VirtualTimer } from './virtual-time.ts'

/** A promise that waits for the log. */
interface Call {
  readonly timer: VirtualTimer
  readonly reject: (error: Error) => void
  /** Its time is over, and only the healing of the way will end it. */
  isOverdue: boolean
}

export class MemoryLogClient implements SequencedLog {
  readonly node: NodeRun
  readonly #log: MemoryLog
  readonly #calls = new Set<Call>()
  readonly #following = new Set<Following>()
  readonly #planned: CallFate[] = []
  #way: 'open' | 'fails' | 'hangs' = 'open'
  #stuckUntilMs = 0
  #isClosed = false

  constructor(log: MemoryLog, node: NodeRun) {
    this.#log = log
    this.node = node
  }

  create(first: Uint8Array): Promise<boolean> {
    const bytes = first.slice()
    return this.#call('create', () => this.#log.create(bytes))
  }

  identity(): Promise<string | undefined> {
    return this.#call('identity', () => this.#log.identity())
  }

  append(bytes: Uint8Array): Promise<void> {
    const copy = bytes.slice()
    return this.#call<void>('append', (fate) => this.#log.append(copy, fate))
  }

  head(): Promise<number> {
    return this.#call('head', () => this.#log.head())
  }

  /** Throws an AssertionError for a place that was not taken from an entry of this log. */
  follow(after: LogPlace, follower: LogFollower): () => void {
    if (this.#isClosed) throw new Error('the log is closed')
    const following = this.#log.addFollower(this, after, follower)
    this.#following.add(following)
    return () => {
      following.stop()
      this.#following.delete(following)
    }
  }

  truncate(place: LogPlace): Promise<void> {
    return this.#call<void>('truncate', () => this.#log.truncate(place))
  }

  close(): Promise<void> {
    this.#isClosed = true
    for (const following of this.#following) following.stop()
    this.#following.clear()
    for (const call of this.#calls) this.#end(call, 'the log is closed')
    return Promise.resolve()
  }

  /**
   * Cuts the node from the log: what it calls, and what is under way, rejects soon (`fails`) or waits for
   * `heal` and rejects then (`hangs`). Its followers get nothing until then. What has reached the log is
   * done all the same.
   */
  cut(way: 'fails' | 'hangs' = 'fails'): void {
    this.#way = way
    if (way === 'fails') for (const call of this.#calls) this.#endSoon(call)
  }

  heal(): void {
    this.#way = 'open'
    for (const call of this.#calls) if (call.isOverdue) this.#end(call, 'the log did not answer')
    for (const following of this.#following) following.poke()
  }

  get isCut(): boolean {
    return this.#way !== 'open'
  }

  /** Hands nothing on to the followers of this node for a while; calls are answered as before. */
  stick(ms: number): void {
    this.#stuckUntilMs = this.#log.time.now() + ms
  }

  /** How long the followers still get nothing. */
  get stuckForMs(): number {
    return Math.max(0, this.#stuckUntilMs - this.#log.time.now())
  }

  /** Decides what becomes of the next appends, one after the other, instead of chance. */
  planAppends(...fates: readonly CallFate[]): void {
    this.#planned.push(...fates)
  }

  /** How many promises wait. */
  get pendingCount(): number {
    return this.#calls.size
  }

  #call<T>(name: string, atLog: (fate: CallFate) => T | typeof NO_ANSWER): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#isClosed) {
        reject(new Error('the log is closed'))
        return
      }
      const { time, random, faults } = this.#log
      const fate = this.#fate(name)
      // Broken connections are noticed soon, silent ones by the time-out.
      const isSilent = random.chance(0.5)
      const timer = this.node.at(faults.timeoutMs, () => this.#timeOut(call))
      const call: Call = { timer, reject, isOverdue: false }
      this.#calls.add(call)
      if (this.#way === 'fails') this.#endSoon(call)
      if (this.#way !== 'open') return
      if (fate !== 'done' && fate !== 'repeat' && !isSilent) this.#endSoon(call)
      if (fate === 'loseRequest') return
      const lateMs = fate === 'late' ? faults.timeoutMs + random.exponential(faults.lateMs) : 0
      time.at(random.exponential(faults.requestMs) + lateMs, () => {
        // A late one has left the node long ago.
        if (this.isCut && fate !== 'late') return
        const answer = atLog(fate)
        if (answer === NO_ANSWER || fate === 'late' || fate === 'loseReply') return
        this.node.at(random.exponential(faults.replyMs), () => {
          if (this.isCut || !this.#calls.delete(call)) return
          timer.cancel()
          resolve(answer)
        })
      })
    })
  }

  #fate(name: string): CallFate {
    const { random, faults } = this.#log
    if (name === 'append') {
      const planned = this.#planned.shift()
      if (planned !== undefined) return planned
      if (random.chance(faults.late)) return 'late'
      if (random.chance(faults.repeat)) return 'repeat'
    }
    if (random.chance(faults.loseRequest)) return 'loseRequest'
    return random.chance(faults.loseReply) ? 'loseReply' : 'done'
  }

  #timeOut(call: Call): void {
    if (this.#way === 'hangs') call.isOverdue = true
    else this.#end(call, 'the log did not answer')
  }

  #endSoon(call: Call): void {
    const { random, faults } = this.#log
    const delayMs = random.exponential(faults.requestMs + faults.replyMs)
    this.node.at(delayMs, () => this.#end(call, 'the connection to the log broke'))
  }

  #end(call: Call, reason: string): void {
    if (!this.#calls.delete(call)) return
    call.timer.cancel()
    call.reject(new Error(reason))
  }
}
