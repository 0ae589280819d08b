/**
 * @module Users and their passwords: the file as it is now, checked in a worker. Whoever fails often
 * for one user from one address has to wait there; the user himself, from elsewhere, never has to.
 */
import type { Clock } from '../runtime/clock.ts'
import { nobodysHash } from './bcrypt.ts'
import type { Caller } from './caller.ts'
import { largestCost, parseHtpasswd, type Users } from './htpasswd.ts'
import { LoginPutOff } from './login-put-off.ts'
import type { PasswordQueue } from './password-queue.ts'
import { Throttle } from './throttle.ts'
import { WatchedFile } from './watched-file.ts'

export interface PasswordsOptions {
  readonly file: string
  /** Members by group. */
  readonly groups: ReadonlyMap<string, readonly string[]>
  readonly queue: Pick<PasswordQueue, 'check'>
  readonly clock: Pick<Clock, 'monotonic'>
  readonly log: {
    info(fields: object, message: string): void
    error(fields: object, message: string): void
  }
  /** Told after every change of the file: what was judged by the old one is void. */
  readonly onChanged: () => void
}

/** Failures of one address, for one user and for all: then it waits. */
const perUserAndAddress = { burst: 20, perSecond: 0.5, keysMax: 50_000 }
const perAddress = { burst: 60, perSecond: 4, keysMax: 50_000 }

export class Passwords {
  readonly #options: PasswordsOptions
  readonly #watched: WatchedFile
  readonly #byUser: Throttle
  readonly #byAddress: Throttle
  #users: Users = new Map()
  #nobody = nobodysHash(10)
  #isStarted = false
  /** What an address is told that has to wait, by seconds: made once, for a flood gets it often. */
  readonly #waits = new Map<number, LoginPutOff>()

  constructor(options: PasswordsOptions) {
    this.#options = options
    this.#byUser = new Throttle({ ...perUserAndAddress, clock: options.clock })
    this.#byAddress = new Throttle({ ...perAddress, clock: options.clock })
    this.#watched = new WatchedFile({
      path: options.file,
      onContent: (text) => this.#take(text),
      onProblem: (error) => {
        const fields = { file: options.file, reason: error.message }
        options.log.error(fields, 'htpasswd file not taken; the users stay as they were')
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
    const key = keyOf(name, address)
    const wait = Math.max(this.#byUser.waitSeconds(key), this.#byAddress.waitSeconds(address))
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
    const key = keyOf(name, address)
    // Paid in advance, so that a thousand at once do not all come in before the first has failed.
    this.#byUser.spend(key)
    this.#byAddress.spend(address)
    const hash = this.#users.get(name)
    let isRight: boolean
    try {
      isRight = await this.#options.queue.check(password, hash ?? this.#nobody, address)
    } catch (error) {
      this.#refund(key, address)
      throw error
    }
    // The file may have changed meanwhile.
    isRight = isRight && hash !== undefined && this.#users.get(name) === hash
    if (isRight) this.#refund(key, address)
    return isRight
  }

  #refund(key: string, address: string): void {
    this.#byUser.refund(key)
    this.#byAddress.refund(address)
  }

  #take(text: string): void {
    const { file, log, onChanged } = this.#options
    const parsed = parseHtpasswd(text, file)
    if (!parsed.ok) throw new Error(parsed.problems.join('; '))
    this.#users = parsed.users
    this.#nobody = nobodysHash(largestCost(parsed.users))
    onChanged()
    if (this.#isStarted) log.info({ file, users: parsed.users.size }, 'htpasswd file read again')
    this.#isStarted = true
  }
}

function keyOf(name: string, address: string): string {
  return `${address} ${name}`
}

function tooManyFailures(seconds: number): LoginPutOff {
  const message = 'too many failed logins from this address; try again later'
  return new LoginPutOff('throttled', message, seconds)
}
