/**
 * @module Logging in and out in the pages: a name and a password become a cookie, which is renewed while it is used
 * and ends everywhere with a logout. Passwords are judged, and made to wait, as those of every other request are.
 */
import type { Asker } from '../../auth/asker.ts'
import {
  type Authenticator,
  CredentialsRefused,
  type RefusalReason,
} from '../../auth/authenticator.ts'
import { LoginPutOff, type PutOffReason } from '../../auth/login-delay.ts'
import { type Sessions, sessionLifeMs } from '../../auth/sessions.ts'
import { RegistryError } from '../../registry/errors.ts'
import type { HttpRequest } from '../engine/port.ts'
import { forgetCookie, keepCookie, pageChallenge, sessionCookie } from './session-cookie.ts'

export interface SessionDoorOptions {
  readonly sessions: Sessions
  readonly authenticator: Authenticator
  readonly askerOf: (request: HttpRequest) => Asker
  readonly onRefused: (
    request: HttpRequest,
    user: string | undefined,
    reason: RefusalReason | PutOffReason,
  ) => void
}

/** What one request may do about logins. */
export interface RequestSessions {
  /** Rejects with 401, or with 503 while the password is not judged. */
  open(user: string, password: string): Promise<{ readonly asker: Asker; readonly cookie: string }>
  /** Ends the login of the request, where it has one; and what makes the browser forget it. */
  close(): Promise<{ readonly ended: boolean; readonly cookie: string }>
}

export class SessionDoor {
  readonly #options: SessionDoorOptions

  constructor(options: SessionDoorOptions) {
    this.#options = options
  }

  of(request: HttpRequest): RequestSessions {
    return {
      open: (user, password) => this.#open(request, user, password),
      close: () => this.#close(request),
    }
  }

  /** The next cookie of the login that the request belongs to; undefined: its own is new enough. */
  async renewal(request: HttpRequest): Promise<string | undefined> {
    const token = await this.#options.sessions.renew(request.caller)
    return token && keepCookie(request, token, sessionLifeMs)
  }

  async #open(request: HttpRequest, user: string, password: string) {
    const { sessions, askerOf } = this.#options
    const { token, caller } = await this.#judged(request, user, async () => {
      // An empty pair would be nobody, and everybody.
      if (user === '') throw new CredentialsRefused('wrong-credentials', user)
      return sessions.open(await this.#options.authenticator.login(user, password, request))
    })
    request.caller = caller
    request.change = { action: 'login' }
    return { asker: askerOf(request), cookie: keepCookie(request, token, sessionLifeMs) }
  }

  async #close(request: HttpRequest) {
    const ended = await this.#options.sessions.close(request.caller)
    if (ended) request.change = { action: 'logout' }
    return { ended, cookie: forgetCookie(request) }
  }

  async #judged<T>(request: HttpRequest, user: string, judge: () => Promise<T>): Promise<T> {
    const { onRefused } = this.#options
    try {
      return await judge()
    } catch (error) {
      if (error instanceof LoginPutOff) {
        onRefused(request, user, error.reason)
        throw error
      }
      if (!(error instanceof CredentialsRefused)) throw error
      onRefused(request, user, error.reason)
      const cookie = sessionCookie(request) && forgetCookie(request)
      throw new RegistryError('UNAUTHORIZED', {
        message: 'user name, password or token is wrong',
        facts: { challenge: pageChallenge, ...(cookie !== undefined && { cookie }) },
      })
    }
  }
}
