/**
 * @module Passwords on their way to the worker. They wait in lines, one password of a line at a time,
 * so that a flood from one place does not make others wait for it; bounded for each and in all. After
 * a wrong password its line rests, so that nobody keeps a processor busy by guessing.
 *
 * Lines are in three lanes, because an attacker may have more places than we have turns:
 *
 *   known client: a line for each client that has logged in well within the last day
 *   known user:   a line for each user that has, wherever he comes from now
 *   others:       a line for each client; of them the newest are put off first
 *
 * Half of the turns begin with the first lane, a quarter each with the other two; a turn that finds
 * nobody there goes to the next.
 */
import { BoundedMap } from '../runtime/bounded-map.ts'
import type { Clock } from '../runtime/clock.ts'
import { SupervisedTask } from '../runtime/supervised-task.ts'
import type { LongTask } from '../runtime/worker-pool.ts'
import { LoginPutOff } from './login-delay.ts'
import type { PasswordReply, PasswordRequest } from './worker/messages.ts'

/** Checks that wait, in one line and in all. */
const waitingInLineMax = 32
const waitingMax = 2_000

/** Others do not wait for longer than this, as checks have lately taken, ms; a few always may. */
const waitMsMax = 30_000
const othersMin = 64

/** In a line that was wrong within the last ten seconds: its rests would add up. */
const waitingSuspectMax = 4
const suspectMs = 10_000

/** Rest after a wrong password, in times of what its check has taken: a fifth of one processor. */
const restFactor = 4

/** Lines at rest that are remembered. */
const restingMax = 10_000

const lanes = ['known-client', 'known-user', 'others'] as const
type Lane = (typeof lanes)[number]

/** Where each of four turns begins to look. */
const turns: readonly (readonly Lane[])[] = [
  ['known-client', 'known-user', 'others'],
  ['known-user', 'known-client', 'others'],
  ['known-client', 'known-user', 'others'],
  ['others', 'known-client', 'known-user'],
]

/** Who gives a password. */
export interface Presenter {
  readonly user: string
  /** See `runtime/client-key.ts`. */
  readonly client: string
  readonly isKnownClient: boolean
  readonly isKnownUser: boolean
}

interface Waiting {
  readonly lane: Lane
  readonly line: string
  readonly password: string
  readonly hash: string
  startedAt: number
  /** Undefined once it has had its turn or was put off. */
  settle: { resolve: (isRight: boolean) => void; reject: (error: Error) => void } | undefined
}

export class PasswordQueue {
  readonly #task: SupervisedTask<PasswordRequest, PasswordReply>
  /** Lines of each lane, in the order of their turns. */
  readonly #lines: Readonly<Record<Lane, Map<string, Waiting[]>>> = {
    'known-client': new Map(),
    'known-user': new Map(),
    others: new Map(),
  }
  /** The others, newest last; also those that do not wait any more. */
  #newest: Waiting[] = []
  #othersCount = 0
  #waitingCount = 0
  #turn = 0
  /** What a check has taken lately, ms. */
  #checkMs = 0
  #current: Waiting | undefined
  #lastId = 0
  readonly #clock: Pick<Clock, 'monotonic'>
  /** Until when a line rests, or rested. */
  readonly #restUntil = new BoundedMap<string, number>(restingMax)
  #timer: NodeJS.Timeout | undefined

  /** `start` runs `workers/password.ts`; it is run again if it dies. */
  constructor(start: () => LongTask, clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
    this.#task = new SupervisedTask(start, {
      onReply: ({ id, isRight }) => {
        if (id !== this.#lastId) return
        if (this.#current !== undefined) this.#rest(this.#current, isRight)
        this.#end((waiting) => waiting.resolve(isRight))
      },
      onDown: () => this.#end((waiting) => waiting.reject(busy())),
    })
  }

  /** Rejects with LoginPutOff when too many wait, or when the worker is down. */
  check(password: string, hash: string, presenter: Presenter): Promise<boolean> {
    const place = this.#placeOf(presenter)
    if (place === undefined) return Promise.reject(busy())
    return new Promise((resolve, reject) => {
      const waiting = { ...place, password, hash, startedAt: 0, settle: { resolve, reject } }
      const lines = this.#lines[place.lane]
      const line = lines.get(place.line)
      if (line === undefined) lines.set(place.line, [waiting])
      else line.push(waiting)
      this.#count(waiting, 1)
      this.#next()
    })
  }

  close(): Promise<void> {
    clearTimeout(this.#timer)
    return this.#task.close()
  }

  /** The best line that has room; makes room in all by putting the newest of the others off. */
  #placeOf(presenter: Presenter): { lane: Lane; line: string } | undefined {
    const { user, client, isKnownClient, isKnownUser } = presenter
    const places: { lane: Lane; line: string }[] = []
    if (isKnownClient) places.push({ lane: 'known-client', line: `client ${client}` })
    if (isKnownUser) places.push({ lane: 'known-user', line: `user ${user}` })
    if (!isKnownClient) places.push({ lane: 'others', line: `client ${client}` })
    for (const place of places) {
      const max = this.#isSuspect(place.line) ? waitingSuspectMax : waitingInLineMax
      if ((this.#lines[place.lane].get(place.line)?.length ?? 0) >= max) continue
      if (place.lane === 'others' && this.#othersCount >= this.#othersMax) continue
      if (this.#waitingCount >= waitingMax && place.lane === 'others') continue
      if (this.#waitingCount >= waitingMax && !this.#putOffNewest()) continue
      return place
    }
    return undefined
  }

  get #othersMax(): number {
    return Math.max(othersMin, Math.floor(waitMsMax / Math.max(1, this.#checkMs)))
  }

  #putOffNewest(): boolean {
    for (;;) {
      const waiting = this.#newest.pop()
      if (waiting === undefined) return false
      if (waiting.settle === undefined) continue
      const line = this.#lines.others.get(waiting.line)!
      line.splice(line.indexOf(waiting), 1)
      if (line.length === 0) this.#lines.others.delete(waiting.line)
      this.#putOff(waiting)
      return true
    }
  }

  /** It is out of its line already. */
  #putOff(waiting: Waiting): void {
    const { settle } = waiting
    waiting.settle = undefined
    this.#count(waiting, -1)
    settle?.reject(busy())
  }

  #count(waiting: Waiting, change: 1 | -1): void {
    this.#waitingCount += change
    if (waiting.lane !== 'others') return
    this.#othersCount += change
    if (change === -1) return
    this.#newest.push(waiting)
    if (this.#newest.length > 2 * this.#othersCount + 64) {
      this.#newest = this.#newest.filter(({ settle }) => settle !== undefined)
    }
  }

  #end(how: (settle: NonNullable<Waiting['settle']>) => void): void {
    const settle = this.#current?.settle
    this.#current = undefined
    if (settle !== undefined) how(settle)
    this.#next()
  }

  #isSuspect(line: string): boolean {
    const until = this.#restUntil.get(line)
    return until !== undefined && this.#clock.monotonic() < until + suspectMs
  }

  #rest({ lane, line, startedAt }: Waiting, isRight: boolean): void {
    const now = this.#clock.monotonic()
    const tookMs = now - startedAt
    this.#checkMs = this.#checkMs === 0 ? tookMs : 0.9 * this.#checkMs + 0.1 * tookMs
    this.#restUntil.delete(line)
    if (isRight) return
    this.#restUntil.set(line, now + restFactor * tookMs)
    const left = this.#lines[lane].get(line) ?? []
    for (const waiting of left.splice(waitingSuspectMax)) this.#putOff(waiting)
  }

  /** The line whose turn it is; when all of them rest, it is looked for again at the first end. */
  #firstRested(): { lane: Lane; line: string } | undefined {
    const now = this.#clock.monotonic()
    let soonest = Number.POSITIVE_INFINITY
    for (const lane of turns[this.#turn % turns.length]!) {
      for (const line of this.#lines[lane].keys()) {
        const until = this.#restUntil.get(line) ?? 0
        if (until <= now) return { lane, line }
        soonest = Math.min(soonest, until)
      }
    }
    clearTimeout(this.#timer)
    if (soonest !== Number.POSITIVE_INFINITY) {
      this.#timer = setTimeout(() => this.#next(), soonest - now)
    }
    return undefined
  }

  #next(): void {
    if (this.#current !== undefined) return
    const found = this.#firstRested()
    if (found === undefined) return
    this.#turn += 1
    const lines = this.#lines[found.lane]
    const line = lines.get(found.line)!
    const waiting = line.shift()!
    // To the end of its lane: the next line has its turn first.
    lines.delete(found.line)
    if (line.length > 0) lines.set(found.line, line)
    this.#begin(waiting)
  }

  #begin(waiting: Waiting): void {
    const { settle, password, hash } = waiting
    this.#count(waiting, -1)
    this.#current = { ...waiting, settle, startedAt: this.#clock.monotonic() }
    waiting.settle = undefined
    this.#lastId += 1
    if (!this.#task.post({ id: this.#lastId, password, hash })) {
      this.#end((one) => one.reject(busy()))
    }
  }
}

function busy(): LoginPutOff {
  return new LoginPutOff('busy', 'too many passwords are being checked; try again later', 2)
}
