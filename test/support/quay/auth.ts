/**
 * @module Who asks the stand-in of Quay: OAuth tokens for the API, `/v2/auth` with every kind of Basic, and
 * the tokens that it gives.
 */
import { createHmac, randomUUID } from 'node:crypto'
import type { QuayModel } from './model.ts'

export interface OAuthToken {
  readonly user: string
  readonly scopes: readonly string[]
  isExpired?: boolean
}

export interface QuayAnswer {
  readonly status: number
  readonly json?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly bytes?: Buffer
}

interface Access {
  readonly type: string
  readonly name: string
  readonly actions: readonly string[]
}

export interface Guest {
  readonly visitor: string | undefined
  readonly access: readonly Access[]
  readonly expiresAt: number
}

const secret = 'stand-in'

export class QuayAuth {
  readonly oauthTokens = new Map<string, OAuthToken>()
  /** `org+name` → token. */
  readonly robots = new Map<string, string>()
  readonly users = new Map<string, string>()
  /** App-specific password → user. */
  readonly appPasswords = new Map<string, string>()
  /** Legacy access token → the one repository that it reads. */
  readonly accessTokens = new Map<string, string>()
  readonly #model: QuayModel
  readonly #guests = new Map<string, Guest>()

  constructor(model: QuayModel) {
    this.#model = model
  }

  /** The API's caller; whoever is not known is nobody, and is not told so. */
  apiCaller(authorization: string | undefined): OAuthToken | undefined {
    const token = /^Bearer (.+)$/.exec(authorization ?? '')?.[1]
    const known = token === undefined ? undefined : this.oauthTokens.get(token)
    return known?.isExpired === true ? undefined : known
  }

  /** `GET /v2/auth`. */
  login(
    query: URLSearchParams,
    authorization: string | undefined,
    now: number,
    tokenSeconds: number,
  ): QuayAnswer {
    const who = this.#identify(authorization)
    if (typeof who === 'object') return who
    const scopes = query.getAll('scope')
    if (who === undefined && scopes.length === 0)
      return refusal(401, 'UNAUTHORIZED', 'Login required')
    const access: Access[] = []
    for (const scope of scopes) {
      const match = /^repository:([^:]+):((?:pull|push|\*)(?:,(?:pull|push|\*))*)$/.exec(scope)
      if (match === null) return refusal(400, 'INVALID_REQUEST', `Could not decode scope ${scope}`)
      // What may not be had is left out, without a word.
      const actions = this.#mayRead(who, match[1]!) ? ['pull'] : []
      access.push({ type: 'repository', name: match[1]!, actions })
    }
    const payload = {
      iss: 'quay',
      aud: query.get('service'),
      nbf: now,
      iat: now,
      exp: now + tokenSeconds,
      sub: who ?? '(anonymous)',
      access,
      jti: randomUUID(),
    }
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const body = `${part({ typ: 'JWT', alg: 'HS256' })}.${part(payload)}`
    const token = `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`
    this.#guests.set(token, { visitor: who, access, expiresAt: now + tokenSeconds })
    return { status: 200, json: { token } }
  }

  /** Whose token it is; undefined for none, for one that has ended and for everything else. */
  guest(authorization: string | undefined, now: number): Guest | undefined {
    const token = /^Bearer (.+)$/.exec(authorization ?? '')?.[1]
    const guest = token === undefined ? undefined : this.#guests.get(token)
    return guest === undefined || guest.expiresAt <= now ? undefined : guest
  }

  /** Takes every token of `/v2/auth` back. */
  endTokens(): void {
    this.#guests.clear()
  }

  #identify(authorization: string | undefined): string | undefined | QuayAnswer {
    const coded = /^Basic (.+)$/.exec(authorization ?? '')?.[1]
    if (coded === undefined) return undefined
    const pair = Buffer.from(coded, 'base64').toString()
    const colon = pair.indexOf(':')
    const [name, password] = [pair.slice(0, colon), pair.slice(colon + 1)]
    const refused = (message: string) => refusal(401, 'UNAUTHORIZED', message)
    switch (name) {
      case '$oauthtoken': {
        const token = this.oauthTokens.get(password)
        if (token === undefined) return refused('OAuth access token could not be validated')
        return token.isExpired === true ? refused('OAuth access token has expired') : token.user
      }
      case '$app':
        return this.appPasswords.get(password) ?? refused('App specific token is invalid')
      case '$token':
        return this.accessTokens.has(password) ? `$token:${password}` : refused('Invalid token')
      default: {
        const known = name.includes('+') ? this.robots.get(name) : this.users.get(name)
        return known === password ? name : refused(`Could not find ${name} with the given password`)
      }
    }
  }

  #mayRead(visitor: string | undefined, path: string): boolean {
    const repository = this.#model.repositories.get(path)
    if (repository === undefined) return false
    if (repository.isPublic) return true
    if (visitor?.startsWith('$token:')) return this.accessTokens.get(visitor.slice(7)) === path
    return visitor !== undefined && repository.readers.has(visitor)
  }
}

export function refusal(status: number, code: string, message: string, detail = {}): QuayAnswer {
  return { status, json: { errors: [{ code, message, detail }] } }
}
