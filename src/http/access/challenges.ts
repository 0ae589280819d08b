/**
 * @module What a client without (good) credentials is told: where to get a token, or that a password
 * is wanted. One challenge an answer: docker gives up on `Basic` before it looks at `Bearer`.
 */
import type { HttpRequest } from '../engine/port.ts'
import type { ChallengeMaker } from './gate.ts'

export interface ChallengesOptions {
  readonly isBearer: boolean
  /** Undefined: from the request. */
  readonly realm: string | undefined
  readonly service: string | undefined
}

/** Host and port as they may stand in a URL and inside quotes. */
const HOST = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/

export class Challenges implements ChallengeMaker {
  readonly #options: ChallengesOptions

  constructor(options: ChallengesOptions) {
    this.#options = options
  }

  challenge(
    request: HttpRequest,
    scope: string | undefined,
    error: 'invalid_token' | 'insufficient_scope' | undefined,
  ): string {
    if (!this.#options.isBearer) return 'Basic realm="FastRegistry", charset="UTF-8"'
    const realm = this.#options.realm ?? `${request.scheme}://${hostOf(request)}/token`
    const parts = [`realm="${realm}"`, `service="${this.serviceOf(request)}"`]
    if (scope !== undefined) parts.push(`scope="${scope}"`)
    if (error !== undefined) parts.push(`error="${error}"`)
    return `Bearer ${parts.join(',')}`
  }

  /** The name of this registry, as a request reaches it. */
  serviceOf(request: HttpRequest): string {
    return this.#options.service ?? hostOf(request)
  }
}

function hostOf(request: HttpRequest): string {
  const { host } = request
  return HOST.test(host) ? host : 'localhost'
}
