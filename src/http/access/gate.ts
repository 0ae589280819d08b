/**
 * @module The gate in front of every route: who asks (once per request), and whether he may. It is
 * not there at all when access control is off. Refusals below `/v2/` are 401 with a challenge,
 * whether or not there is anything behind the path: existence is never told.
 */
import type { AccessRules } from '../../auth/access-rules.ts'
import type { Asker } from '../../auth/asker.ts'
import { type Authenticator, CredentialsRefused, claimedName } from '../../auth/authenticator.ts'
import { type Action, anonymousCaller, type Caller, type Origin } from '../../auth/caller.ts'
import { LoginPutOff, type PutOffReason } from '../../auth/login-delay.ts'
import type { Sessions } from '../../auth/sessions.ts'
import { RegistryError } from '../../registry/errors.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { HttpRequest } from '../engine/port.ts'
import type { SourceRights } from '../handlers/uploads.ts'
import { parseRoute } from '../router.ts'
import { adminNeed, type Need, neededBy, pullOf, repositoryNeed } from './needs.ts'
import {
  forgetCookie,
  isOfPage,
  pageChallenge,
  type SessionCookie,
  sessionCookie,
} from './session-cookie.ts'

/** One refused request, for the audit trail. */
export interface Refusal {
  readonly caller: Caller
  /** Name that was claimed with credentials that were not taken. */
  readonly claimedUser: string | undefined
  readonly reason: 'no-credentials' | 'not-allowed' | CredentialsRefused['reason'] | PutOffReason
  readonly need: Need | 'login' | undefined
  readonly rule: number | undefined
}

/** What a challenge asks for: `Bearer` with a realm, or `Basic`. */
export interface ChallengeMaker {
  challenge(
    request: HttpRequest,
    scope: string | undefined,
    error: 'invalid_token' | 'insufficient_scope' | undefined,
  ): string
}

/** How long after its end a token is good for a session that began before it, ms. */
const lateTokenMs = 60 * 60 * 1000

export interface GateOptions {
  readonly rules: AccessRules
  readonly authenticator: Authenticator
  readonly sessions: Pick<Sessions, 'judge'>
  readonly challenges: ChallengeMaker
  readonly onRefused: (request: HttpRequest, refusal: Refusal) => void
  /** A moment to wait before a user's request goes on; undefined: none. */
  readonly limitUser: (request: HttpRequest) => Promise<void> | undefined
  /** When this user's open session of this repository began; undefined: there is none. */
  readonly uploadStartedAt: (
    repository: RepositoryName,
    id: string,
    user: string,
  ) => number | undefined
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

export class Gate {
  readonly #options: GateOptions

  constructor(options: GateOptions) {
    this.#options = options
  }

  limitUser(request: HttpRequest): Promise<void> | undefined {
    return this.#options.limitUser(request)
  }

  /** The caller, at once where the credentials were judged lately. Throws or rejects with 401 or 503. */
  admit(request: HttpRequest): Caller | Promise<Caller> {
    try {
      const found = this.#judge(credentialsOf(request), request)
      return found instanceof Promise
        ? found.catch((error: unknown) => this.#refuseCredentials(request, error))
        : found
    } catch (error) {
      return this.#refuseCredentials(request, error)
    }
  }

  /** Whether the caller of the request may, by the rules and by its credentials. Refuses nobody. */
  may(request: HttpRequest, action: Action, repository: string): boolean {
    return this.#options.rules.may(request.caller, action, repository, request)
  }

  /** `require` for a pull that is answered from what was prepared: nothing is made for it. */
  requirePull(request: HttpRequest, repository: string): void {
    if (this.#options.rules.may(request.caller, 'pull', repository, request)) return
    this.require(request, pullOf(repository))
  }

  /**
   * Whether the user may push there or sign, whatever this request's token was asked for: clients that push read with
   * a token for pulls before. What an access token was limited to holds all the same.
   */
  isPusher(request: HttpRequest, repository: string): boolean {
    const { caller } = request
    return (['push', 'sign'] as const).some(
      (action) =>
        caller.bounds?.allows(action, repository) !== false &&
        this.#options.rules.decide(caller, action, repository, request).isAllowed,
    )
  }

  /**
   * Returns when the caller of the request may; throws 401 (or 403 outside of `/v2/`). A caller that may only
   * sign passes for a push, with a mark that every handler of pushes looks at.
   */
  require(request: HttpRequest, need: Need | 'login'): void {
    const { caller } = request
    if (need === 'login') {
      if (caller.via !== 'none') return
      this.#refuse(request, need, 'no-credentials', undefined)
      return
    }
    const { action, resource } = need
    const { rules } = this.#options
    if (resource === undefined) {
      const isGranted = caller.grant?.allows(action, undefined) !== false
      if (isGranted && rules.mayAnywhere(caller, action, request)) return
      this.#refuse(request, need, 'not-allowed', undefined)
      return
    }
    // The metrics are open to whom a rule names them for, and to administrators.
    if (resource === '/metrics' && rules.may(caller, 'admin', resource, request)) return
    if (rules.may(caller, action, resource, request)) return
    if (action === 'push' && rules.may(caller, 'sign', resource, request)) {
      request.signsOnly = true
      return
    }
    const { rule } = rules.decide(caller, action, resource, request)
    this.#refuse(request, need, 'not-allowed', rule)
  }

  /** The caller as the admin API asks about him. Reads the request now: it may be gone later. */
  asker(request: HttpRequest): Asker {
    const { remoteAddress } = request
    return this.#askerOf(request.caller, request, {
      remoteAddress,
      credentials: credentialsOf(request),
    })
  }

  #judge({ authorization, cookie }: Credentials, from: Origin): Caller | Promise<Caller> {
    const { authenticator, sessions } = this.#options
    if (cookie === undefined) return authenticator.authenticate(authorization, from)
    if (cookie.token === undefined) throw new CredentialsRefused('malformed')
    return sessions.judge(cookie.token)
  }

  #askerOf(
    caller: Caller,
    request: HttpRequest,
    from: { readonly remoteAddress: string; readonly credentials: Credentials },
  ): Asker {
    const { rules } = this.#options
    const isAdmin = rules.may(caller, 'admin', '/admin', from)
    return {
      isAdmin,
      isByCookie: caller.session !== undefined,
      may: (action, repository) => isAdmin || rules.may(caller, action, repository, from),
      mayAnywhere: (actions) =>
        isAdmin || actions.some((action) => rules.mayAnywhere(caller, action, from)),
      refuse: (action, repository) => {
        const need = repository === undefined ? adminNeed : repositoryNeed(action, repository)
        const rule = rules.decide(caller, need.action, need.resource ?? '/admin', from).rule
        throw this.#refusalOf(request, need, 'not-allowed', rule)
      },
      describe: () => ({
        kind: caller.kind,
        name: caller.name,
        groups: caller.groups,
        via: caller.via,
        rights: rules.describe(caller, from),
        limits: caller.grant?.describe(),
        session: caller.session,
      }),
      renew: async () => {
        const now = await this.#judge(from.credentials, from)
        return this.#askerOf(now, request, from)
      },
    }
  }

  /** What the caller may mount from. */
  sourceRights(request: HttpRequest): SourceRights {
    const { rules } = this.#options
    const { caller, remoteAddress } = request
    const from = { remoteAddress }
    const may = (source: string) => rules.may(caller, 'pull', source, from)
    const refused = (source: string) =>
      this.#options.onRefused(request, {
        caller,
        claimedUser: undefined,
        reason: 'not-allowed',
        need: pullOf(source),
        rule: undefined,
      })
    return {
      may,
      refused,
      // Only where a new token would help: the others are refused as what is not there.
      might: (source) =>
        caller.mayWiden === true &&
        !may(source) &&
        rules.decide(caller, 'pull', source, from).isAllowed,
      askFor: (target, source) => {
        refused(source)
        const scope = `repository:${target}:pull,push repository:${source}:pull`
        throw this.#unauthorized(request, scope, 'insufficient_scope')
      },
    }
  }

  #refuse(
    request: HttpRequest,
    need: Need | 'login',
    reason: Refusal['reason'],
    rule: number | undefined,
  ): never {
    throw this.#refusalOf(request, need, reason, rule)
  }

  /** The answer to a refused request; books it. */
  #refusalOf(
    request: HttpRequest,
    need: Need | 'login',
    reason: Refusal['reason'],
    rule: number | undefined,
  ): RegistryError {
    const { caller } = request
    const isAnonymous = caller.via === 'none'
    this.#options.onRefused(request, {
      caller,
      claimedUser: undefined,
      reason: isAnonymous ? 'no-credentials' : reason,
      need,
      rule,
    })
    const isApi = request.path === '/v2' || request.path.startsWith('/v2/')
    if (!isApi && !isAnonymous && caller.kind === 'user') return new RegistryError('DENIED')
    const scope = need === 'login' || !isApi ? undefined : need.scope
    const error = caller.via === 'bearer' ? 'insufficient_scope' : undefined
    return this.#unauthorized(request, scope, error)
  }

  #refuseCredentials(request: HttpRequest, error: unknown): Caller {
    if (error instanceof LoginPutOff) {
      this.#bookLogin(request, claimedName(request.header('authorization')), error.reason)
      throw error
    }
    if (!(error instanceof CredentialsRefused)) throw error
    if (error.expired !== undefined && this.#isOfOpenUpload(request, error.expired)) {
      return error.expired.caller
    }
    this.#bookLogin(request, error.user, error.reason)
    const problem = error.reason === 'invalid-token' ? 'invalid_token' : undefined
    const need = neededBy(request)
    const scope = need === undefined || need === 'login' ? undefined : need.scope
    throw this.#unauthorized(request, scope, problem)
  }

  #bookLogin(
    request: HttpRequest,
    claimedUser: string | undefined,
    reason: Refusal['reason'],
  ): void {
    const caller = anonymousCaller
    this.#options.onRefused(request, {
      caller,
      claimedUser,
      reason,
      need: undefined,
      rule: undefined,
    })
  }

  /**
   * A token that ended in the middle of an upload goes on being good for that session of its user, and
   * for so long as a large layer may take, but not for ever.
   */
  #isOfOpenUpload(request: HttpRequest, { at, caller }: { at: number; caller: Caller }): boolean {
    if (this.#options.now() > at + lateTokenMs) return false
    try {
      const route = parseRoute(request.path)
      if (route?.kind !== 'upload') return false
      const startedAt = this.#options.uploadStartedAt(route.repository, route.id, caller.name)
      return startedAt !== undefined && startedAt < at
    } catch {
      return false
    }
  }

  #unauthorized(
    request: HttpRequest,
    scope: string | undefined,
    error: 'invalid_token' | 'insufficient_scope' | undefined,
  ): RegistryError {
    if (!isOfPage(request)) {
      const challenge = this.#options.challenges.challenge(request, scope, error)
      return new RegistryError('UNAUTHORIZED', { facts: { challenge } })
    }
    const cookie = sessionCookie(request) && forgetCookie(request)
    const facts = { challenge: pageChallenge, ...(cookie !== undefined && { cookie }) }
    return new RegistryError('UNAUTHORIZED', { facts })
  }
}

/** What a request brings to say who asks: a header, or else the cookie of a login in the pages. */
interface Credentials {
  readonly authorization: string | undefined
  readonly cookie: SessionCookie | undefined
}

function credentialsOf(request: HttpRequest): Credentials {
  const authorization = request.header('authorization')
  return { authorization, cookie: authorization === undefined ? sessionCookie(request) : undefined }
}
