/**
 * @module Users and their passwords: the file as it is now, checked in a worker. Whoever fails often
 * for one user from one client (`runtime/client-key.ts`) has to wait there, for longer and longer; the
 * user himself, from elsewhere, never has to.
 */
import { BoundedMap } from '../runtime/bounded-map.ts'
import { clientKey, networkKey, networkShare } from '../runtime/client-key.ts'
import type { Clock } from '../runtime/clock.ts'
import { Throttle } from '../runtime/throttle.ts'
import { WatchedFile } from '../runtime/watched-file.ts'
import type { Caller } from './caller.ts'
import { costWarning, Decoys } from './decoys.ts'
import { GoodLogins } from './good-logins.ts'
import { emptinessProblem, parseHtpasswd, type Users } from './htpasswd.ts'
import { LoginPutOff } from './login-delay.ts'
import type { PasswordQueue } from './password-queue.ts'

export interface PasswordsOptions {
  readonly file: string
  /** Members by group. */
  readonly groups: ReadonlyMap<string, readonly string[]>
  readonly queue: Pick<PasswordQueue, 'check'>
  readonly clock: Pick<Clock, 'monotonic'>
  /** Of this registry: decides what unknown names cost. */
  readonly secret: string
  readonly log: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
    error(fields: object, message: string): void
  }
  /** Told after every change of the file: what was judged by the old one is void. */
  readonly onChanged: () => void
  /** Told of each password that was judged wrong here, and of the good one after it. */
  readonly onJudged?: (news: LoginNews) => void
}

/** What one node of several tells the others of logins. */
export interface LoginNews {
  /** `failed-own`: the user has logged in well from that client before, so others there do not pay for it. */
  readonly is: 'failed' | 'failed-own' | 'good'
  readonly name: string
  /** Its key (`runtime/client-key.ts`). */
  readonly client: string
}

/** How nodes share what they judge. */
export interface SharedLogins {
  readonly tell: (news: LoginNews) => void
  /** From now on this is told what others have judged, and how often. */
  readonly hear: (take: (news: LoginNews, count: number) => void) => void
}

/** Users and clients whose failures are told, and not made good; the oldest are forgotten first. */
const toldMax = 10_000

/** Failures of one client, for one user and for all: then it waits, after many for minutes. */
const perUserAndClient = {
  burst: 20,
  perSecond: 0.5,
  keysMax: 50_000,
  slows: { every: 20, secondsMax: 300 },
}
const perClient = {
  burst: 60,
  perSecond: 4,
  keysMax: 50_000,
  slows: { every: 300, secondsMax: 30 },
}

export class Passwords {
  readonly #options: PasswordsOptions
  readonly #watched: WatchedFile
  /** By user and client, or user and /48. */
  readonly #byUser: Throttle
  readonly #byClient: Throttle
  readonly #byNetwork: Throttle
  readonly #byUserAndNetwork: Throttle
  readonly #goodLogins: GoodLogins
  readonly #told = new BoundedMap<string, true>(toldMax)
  #users: Users = new Map()
  #decoys: Decoys
  #isStarted = false
  /** What an address is told that has to wait, by seconds: made once, for a flood gets it often. */
  readonly #waits = new Map<number, LoginPutOff>()

  constructor(options: PasswordsOptions) {
    this.#options = options
    const { clock } = options
    this.#decoys = new Decoys(this.#users, options.secret)
    this.#byUser = new Throttle({ ...perUserAndClient, clock })
    this.#byClient = new Throttle({ ...perClient, clock })
    this.#byNetwork = new Throttle({ ...ofNetwork(perClient), clock })
    this.#byUserAndNetwork = new Throttle({ ...ofNetwork(perUserAndClient), clock })
    this.#goodLogins = new GoodLogins(clock)
    this.#watched = new WatchedFile({
      path: options.file,
      onContent: (text) => this.#take(text),
      onProblem: (error) => {
        const fields = { file: options.file, reason: error.message }
        options.log.error(fields, 'the htpasswd file cannot be used; the users stay as they were')
      },
    })
  }

  /** Rejects with every line that is wrong. */
  async start(): Promise<void> {
    try {
      await this.#watched.start()
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === undefined) throw error
      throw new Error(`auth.htpasswd_file ${this.#options.file} cannot be read (${message})`)
    }
  }

  stop(): void {
    this.#watched.stop()
  }

  get count(): number {
    return this.#users.size
  }

  has(name: string): boolean {
    return this.#users.has(name)
  }

  /** The hash of a user, to tell whether a token was made under the present password. */
  hashOf(name: string): string | undefined {
    return this.#users.get(name)
  }

  /** The caller behind a name that is known to be real. */
  callerOf(name: string, via: Caller['via']): Caller {
    const groups = [...this.#options.groups].filter(([, members]) => members.includes(name))
    return Object.freeze({
      kind: 'user',
      name,
      groups: Object.freeze(groups.map(([group]) => group)),
      via,
      grant: undefined,
    })
  }

  /** Throws LoginPutOff while this address has to wait, for this user or for any. */
  requireTurn(name: string, address: string): void {
    let wait = 0
    for (const [throttle, key] of this.#bucketsOf(name, clientKey(address))) {
      wait = Math.max(wait, throttle.waitSeconds(key))
    }
    if (wait === 0) return
    const seconds = Math.ceil(wait)
    let error = this.#waits.get(seconds)
    if (error === undefined) {
      error = tooManyFailures(seconds)
      this.#waits.set(seconds, error)
    }
    throw error
  }

  /**
   * Whether the password is the user's; `requireTurn` comes first. A user that does not exist takes
   * as long as a wrong password.
   */
  async check(name: string, password: string, address: string): Promise<boolean> {
    const client = clientKey(address)
    const buckets = this.#bucketsOf(name, client)
    // Paid in advance, so that a thousand at once do not all come in before the first has failed.
    for (const [throttle, key] of buckets) throttle.spend(key)
    const refund = () => {
      for (const [throttle, key] of buckets) throttle.refund(key)
    }
    const hash = this.#users.get(name)
    let isRight: boolean
    try {
      const isKnownClient = this.#goodLogins.hasClient(client)
      const isKnownUser = this.#goodLogins.hasUser(name)
      const presenter = { user: name, client, isKnownClient, isKnownUser }
      isRight = await this.#options.queue.check(
        password,
        hash ?? this.#decoys.hashFor(name),
        presenter,
      )
    } catch (error) {
      refund()
      throw error
    }
    // The file may have changed meanwhile.
    isRight = isRight && hash !== undefined && this.#users.get(name) === hash
    if (isRight) {
      refund()
      this.#forgive(name, client)
    }
    this.#tell(isRight, name, client)
    return isRight
  }

  /** A login that another node has judged `count` times. */
  takeJudged({ is, name, client }: LoginNews, count: number): void {
    if (is === 'good') return this.#forgive(name, client)
    const own = [[this.#byUser, keyOf(name, client)]] as const
    const buckets = is === 'failed-own' ? own : this.#bucketsOf(name, client)
    for (const [throttle, key] of buckets) throttle.spend(key, count)
  }

  #forgive(name: string, client: string): void {
    this.#byUser.forgive(keyOf(name, client))
    this.#goodLogins.note(name, client)
  }

  /** Of good logins those alone that make told failures good: there are many others. */
  #tell(isRight: boolean, name: string, client: string): void {
    const { onJudged } = this.#options
    if (onJudged === undefined) return
    const key = keyOf(name, client)
    if (!isRight) {
      this.#told.set(key, true)
      const is = this.#goodLogins.hasPair(name, client) ? 'failed-own' : 'failed'
      onJudged({ is, name, client })
    } else if (this.#told.get(key) === true) {
      this.#told.delete(key)
      onJudged({ is: 'good', name, client })
    }
  }

  /**
   * What a failure is taken from. Of a user that has logged in well from this client it is their own
   * alone: what others do there, or in the same network, does not keep him out.
   */
  #bucketsOf(name: string, client: string): readonly (readonly [Throttle, string])[] {
    const own = [this.#byUser, keyOf(name, client)] as const
    if (this.#goodLogins.hasPair(name, client)) return [own]
    const network = networkKey(client)
    if (network === undefined) return [own, [this.#byClient, client]]
    return [
      own,
      [this.#byClient, client],
      [this.#byNetwork, network],
      [this.#byUserAndNetwork, keyOf(name, network)],
    ]
  }

  #take(text: string): void {
    const { file, log, onChanged, secret } = this.#options
    const parsed = parseHtpasswd(text, file)
    if (!parsed.ok) throw new Error(parsed.problems.join('; '))
    const emptiness = emptinessProblem(parsed.users, file)
    // Later the last user may have been removed on purpose, and then he must be gone.
    if (emptiness !== undefined && !this.#isStarted) throw new Error(emptiness)
    if (emptiness !== undefined) log.warn({ file }, emptiness)
    this.#users = parsed.users
    this.#decoys = new Decoys(parsed.users, secret)
    const warning = costWarning(parsed.users)
    if (warning !== undefined) log.warn({ file }, warning)
    onChanged()
    if (this.#isStarted) log.info({ file, users: parsed.users.size }, 'htpasswd file read again')
    this.#isStarted = true
  }
}

function keyOf(name: string, client: string): string {
  return `${client} ${name}`
}

/** The same for all clients of a /48. */
function ofNetwork(limit: typeof perClient): typeof perClient {
  const { burst, perSecond, keysMax, slows } = limit
  return {
    burst: burst * networkShare,
    perSecond: perSecond * networkShare,
    keysMax,
    slows: { every: slows.every * networkShare, secondsMax: slows.secondsMax / networkShare },
  }
}

function tooManyFailures(seconds: number): LoginPutOff {
  const message = 'too many failed logins from this address; try again later'
  return new LoginPutOff('throttled', message, seconds)
}
