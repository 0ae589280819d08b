/**
 * @module `/token` (distribution, docs/spec/auth/token and oauth): GET with Basic credentials or
 * none, POST with a form; and `/.well-known/jwks.json`. Anonymous callers get a token too, with
 * whatever they may do: clients that trust `/v2/` cannot combine open pulls with closed pushes else.
 */
import {
  type Authenticator,
  CredentialsRefused,
  claimedName,
  type RefusalReason,
} from '../../auth/authenticator.ts'
import { anonymousCaller, type Caller } from '../../auth/caller.ts'
import { LoginPutOff, type PutOffReason } from '../../auth/login-delay.ts'
import type { Login, TokenService } from '../../auth/token-service.ts'
import { readWhole } from '../../distribution/upload/body.ts'
import { RegistryError } from '../../registry/errors.ts'
import type { HttpRequest, HttpResponse } from '../engine/port.ts'
import { Query } from '../query.ts'
import { respondJson } from '../respond.ts'

export interface TokenHandlersOptions {
  readonly tokens: TokenService
  readonly authenticator: Authenticator
  readonly serviceOf: (request: HttpRequest) => string
  readonly onRefused: (
    request: HttpRequest,
    user: string | undefined,
    reason: RefusalReason | PutOffReason,
  ) => void
}

const formBytesMax = 64 * 1024

const NO_STORE = [['Cache-Control', 'no-store']] as const

export class TokenHandlers {
  readonly #options: TokenHandlersOptions

  constructor(options: TokenHandlersOptions) {
    this.#options = options
  }

  async get(request: HttpRequest, response: HttpResponse): Promise<void> {
    const query = new Query(request.query)
    const name = claimedName(request.header('authorization'))
    const caller = await this.#ask(request, name, () => this.#byHeader(request))
    const wantsRefresh = query.get('offline_token') === 'true'
    await this.#answer(request, response, caller, query.getAll('scope'), wantsRefresh)
  }

  async post(request: HttpRequest, response: HttpResponse): Promise<void> {
    request.keepAddress()
    const bytes = await readWhole(request, formBytesMax, formTooLarge)
    const form = new Query(Buffer.from(bytes).toString('utf8'))
    const name = form.get('username') ?? claimedName(request.header('authorization'))
    let login: Login | undefined
    const caller = await this.#ask(request, name, () =>
      this.#byForm(request, form, (renewed) => {
        login = renewed
      }),
    )
    const wantsRefresh = login !== undefined || form.get('access_type') === 'offline'
    await this.#answer(request, response, caller, form.getAll('scope'), wantsRefresh, login)
  }

  jwks(request: HttpRequest, response: HttpResponse): void {
    respondJson(request, response, 200, this.#options.tokens.jwks, [
      ['Cache-Control', 'max-age=300'],
    ])
  }

  #byHeader(request: HttpRequest): Caller | Promise<Caller> {
    const header = request.header('authorization')
    if (header !== undefined && !/^basic /i.test(header)) throw new CredentialsRefused('malformed')
    return this.#options.authenticator.authenticate(header, request)
  }

  /** `onLogin` gets the login of a refresh token. */
  #byForm(
    request: HttpRequest,
    form: Query,
    onLogin: (login: Login) => void,
  ): Caller | Promise<Caller> {
    const { tokens, authenticator } = this.#options
    switch (form.get('grant_type')) {
      case 'refresh_token':
        if (form.get('refresh_token') === undefined) {
          throw new RegistryError('TOKEN_FORM_INVALID', {
            message: 'grant_type=refresh_token needs refresh_token in the form',
          })
        }
        return tokens.refresh(form.get('refresh_token')!).then(({ caller, login }) => {
          onLogin(login)
          return caller
        })
      case 'password': {
        const [name, password] = [form.get('username'), form.get('password')]
        // Nobody who sends a name asks to be nobody: an empty one would be an anonymous caller.
        if (name === undefined || name === '' || password === undefined) {
          throw new RegistryError('TOKEN_FORM_INVALID', {
            message: 'grant_type=password needs username and password in the form',
          })
        }
        return authenticator.login(name, password, request)
      }
      case undefined:
        return request.header('authorization') === undefined
          ? anonymousCaller
          : this.#byHeader(request)
      default:
        throw new RegistryError('TOKEN_FORM_INVALID', {
          message: 'grant_type must be password or refresh_token',
        })
    }
  }

  async #ask(
    request: HttpRequest,
    claimedUser: string | undefined,
    who: () => Caller | Promise<Caller>,
  ): Promise<Caller> {
    try {
      return await who()
    } catch (error) {
      if (error instanceof LoginPutOff) {
        this.#options.onRefused(request, claimedUser, error.reason)
        throw error
      }
      if (!(error instanceof CredentialsRefused)) throw error
      this.#options.onRefused(request, error.user, error.reason)
      throw new RegistryError('UNAUTHORIZED', {
        message: 'user name, password or token is wrong',
        facts: { challenge: 'Basic realm="FastRegistry", charset="UTF-8"' },
      })
    }
  }

  async #answer(
    request: HttpRequest,
    response: HttpResponse,
    caller: Caller,
    scopes: readonly string[],
    wantsRefresh: boolean,
    login?: Login,
  ): Promise<void> {
    request.caller = caller
    const issued = await this.#options.tokens.issue(caller, {
      scopes,
      service: this.#options.serviceOf(request),
      from: request,
      wantsRefresh,
      login,
    })
    const { token, expiresInSeconds, issuedAt, refreshToken } = issued
    const answer = {
      token,
      access_token: token,
      token_type: 'Bearer',
      expires_in: expiresInSeconds,
      issued_at: issuedAt,
      scope: issued.scopes
        .map(({ type, name, actions }) => `${type}:${name}:${actions.join(',')}`)
        .join(' '),
      ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    }
    respondJson(request, response, 200, answer, NO_STORE)
  }
}

function formTooLarge(): RegistryError {
  return new RegistryError('BODY_TOO_LARGE', {
    message: `a token request may have at most ${formBytesMax} bytes`,
  })
}
