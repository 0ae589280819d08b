/**
 * @module Which of its credentials Quay wants where: its API takes OAuth tokens as Bearer, `/v2` robots, users
 * and OAuth tokens by login. Robots cannot ask the API at all.
 */
import type { Credential } from '../../upstream/tokens.ts'

type Secret = Credential['secret']

export interface QuaySettings {
  /** An OAuth token; of the form `user:secret`: a robot or a user. */
  readonly token: Secret | undefined
  readonly robot: { readonly name: string; readonly secret: Secret } | undefined
  readonly user: { readonly name: string; readonly secret: Secret } | undefined
}

export interface QuayCredentials {
  /** `registry`: by catalog and lists of tags, without times; the API does not know who asks. */
  readonly mode: 'api' | 'registry'
  /** For `/api/v1`; undefined: nobody in particular. */
  readonly api: Credential | undefined
  /** For `/v2`. */
  readonly registry: Credential | undefined
  /** Basic of the OAuth token: for the probe. */
  readonly oauth: Credential | undefined
}

export function quayCredentials({ token, robot, user }: QuaySettings): QuayCredentials {
  const pair = token === undefined ? undefined : pairOf(token)
  const login = robot ?? user ?? pair
  const known = login && loginOf(login.name, login.secret)
  if (token === undefined || pair !== undefined) {
    const mode = known === undefined ? 'api' : 'registry'
    return { mode, api: undefined, registry: known, oauth: undefined }
  }
  const oauth = loginOf('$oauthtoken', token)
  const api = { ...oauth, username: undefined, isToken: true }
  return { mode: 'api', api, registry: known ?? oauth, oauth }
}

function pairOf(token: Secret): QuaySettings['robot'] {
  if (token.kind === 'file') return undefined
  const colon = token.value.indexOf(':')
  if (colon < 1) return undefined
  const secret = { kind: 'text', value: token.value.slice(colon + 1) } as const
  return { name: token.value.slice(0, colon), secret }
}

function loginOf(username: string, secret: Secret): Credential {
  return { prefix: '', username, secret, isToken: false, tokenServer: undefined }
}
