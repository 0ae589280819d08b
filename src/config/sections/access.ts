/**
 * @module Settings of access control: users, tokens, rules, the audit trail; and the parts of the
 * configuration that they make. Values that open a registry by a slip (an empty pattern, a rule with an
 * unknown word) are refused with their place.
 */
import { resolve } from 'node:path'
import { compileGlob } from '../../registry/glob.ts'
import { type Contradiction, type Fields, fieldsOf, setting, type ValuesOf } from '../setting.ts'
import * as type from '../values.ts'
import type { MirrorConfig } from './mirrors.ts'

const since = '1.0.0'

/** Stands for the caller's name; never taken from the environment. */
const USER = `\${user}`

const name = type.textThat(
  (text) => text === text.trim(),
  'expected a name without blanks at its ends',
)
const names = type.list('list of names', name)
const someNames = type.list('list of names', name, { lengthMin: 1 })
const pattern = type.textThat(
  isPattern,
  `expected a pattern in lower case such as "team/*", "**" or "home/${USER}/*"`,
)
const action = type.oneOf('pull', 'push', 'sign', 'delete', 'list', 'admin')

/** Whether it is a glob over repository names, in which `${user}` stands for the caller's name. */
export function isPattern(text: string): boolean {
  const plain = text.replaceAll(USER, 'user')
  return /^[a-z0-9._\-/*?{},[\]!]+$/.test(plain) && compileGlob(plain).ok
}

const rule = type.item({
  repositories: type.list('list of patterns', pattern, { lengthMin: 1 }),
  users: type.optional(someNames),
  groups: type.optional(someNames),
  anonymous: type.optional(type.boolean()),
  networks: type.optional(type.list('list of networks', type.network(), { lengthMin: 1 })),
  actions: type.list('list of actions', action),
})

const AUTH = {
  'auth.type': setting({
    type: type.oneOf('none', 'htpasswd'),
    field: 'type',
    default: 'none',
    doc: 'Who has an account: no user, or the users of `auth.htpasswd_file`. With `none` and no `access` rules every client may do everything.',
    since,
  }),
  'auth.htpasswd_file': setting({
    type: type.path(),
    default: '',
    doc: 'File with the users and the bcrypt hashes of their passwords. The server reads it again when it changes.',
    since,
  }),
  'auth.groups': setting({
    type: type.mapping('mapping of groups to lists of users', name, names),
    field: 'groups',
    default: [],
    doc: 'Groups of users for the rules: `{ci: [alice, bob]}`.',
    since,
  }),
} as const

const TOKENS = {
  'auth.tokens.challenge': setting({
    type: type.oneOf('auto', 'bearer', 'basic'),
    field: 'challenge',
    default: 'auto',
    doc: 'What the server asks of clients without credentials. `auto`: bearer tokens when `auth.tokens.realm` is set or a rule is for `anonymous`, else a password. The server always accepts both.',
    since,
  }),
  'auth.tokens.realm': setting({
    type: type.optionalUrl(),
    field: 'realm',
    default: '',
    doc: 'URL of the `/token` of this registry as clients reach it. Empty: from the `Host` of each request.',
    since,
  }),
  'auth.tokens.service': setting({
    type: type.optionalText(),
    field: 'service',
    default: '',
    doc: 'Name of this registry in challenges and tokens. Empty: host and port of the realm.',
    since,
  }),
  'auth.tokens.issuer': setting({
    type: type.text({ lengthMin: 1 }),
    field: 'issuer',
    default: 'fastregistry',
    doc: 'Issuer of the tokens of this registry.',
    since,
  }),
  'auth.tokens.ttl': setting({
    type: type.duration('60s', '24h'),
    field: 'ttlMs',
    default: '10m',
    doc: 'Life of a bearer token.',
    since,
  }),
  'auth.tokens.refresh_ttl': setting({
    type: type.duration('10m', '365d'),
    field: 'refreshTtlMs',
    default: '30d',
    doc: 'Life of a refresh token. A new password ends it early.',
    since,
  }),
  'auth.tokens.login_life': setting({
    type: type.duration('10m', '3650d'),
    field: 'loginLifeMs',
    default: '90d',
    doc: 'Time after a login by password at which its refresh tokens end, also when a client renewed them.',
    since,
  }),
  'auth.tokens.key_life': setting({
    type: type.duration('1h', '3650d'),
    field: 'keyLifeMs',
    default: '90d',
    doc: 'Age at which the server replaces the signing key. Older keys verify as long as a token may live.',
    since,
  }),
} as const

const FOREIGN = {
  'auth.foreign.issuer': setting({
    type: type.text(),
    field: 'issuer',
    default: '',
    doc: 'Another issuer whose tokens the server accepts. Needs `auth.foreign.jwks` and `auth.foreign.audience`.',
    since,
  }),
  'auth.foreign.jwks': setting({
    type: type.text(),
    default: '',
    doc: 'Public keys of that issuer: a JWKS file, or its http(s) URL.',
    since,
  }),
  'auth.foreign.audience': setting({
    type: type.text(),
    field: 'audience',
    default: '',
    doc: 'Audience that its tokens must name.',
    since,
  }),
  'auth.foreign.user_claim': setting({
    type: type.text({ lengthMin: 1 }),
    field: 'userClaim',
    default: 'sub',
    doc: 'Claim with the name of the user.',
    since,
  }),
  'auth.foreign.groups_claim': setting({
    type: type.text({ lengthMin: 1 }),
    field: 'groupsClaim',
    default: 'groups',
    doc: 'Claim with the list of groups.',
    since,
  }),
  'auth.foreign.user_prefix': setting({
    type: type.text(),
    field: 'userPrefix',
    default: 'oidc:',
    doc: 'Prefix for the names of those users, so that none of them is a user of this registry. Rules name `users: ["oidc:job"]`.',
    since,
  }),
  'auth.foreign.group_prefix': setting({
    type: type.text(),
    field: 'groupPrefix',
    default: 'oidc:',
    doc: 'Prefix for the groups that those tokens name. Rules name `groups: ["oidc:builders"]`.',
    since,
  }),
} as const

const RULES = {
  access: setting({
    type: type.list('list of rules', rule),
    field: 'access',
    default: [],
    doc: 'Who may do what: the first rule that matches repository, caller and network decides. Empty: users may do everything, other clients nothing.',
    since,
    expandsEnvironment: false,
  }),
} as const

export const ACCESS_SETTINGS = {
  'audit.file': setting({
    type: type.text(),
    default: '',
    doc: 'File of the audit trail, or `stdout`: one JSON line per change and per refusal. Similar refusals share one line a minute with their count. The server opens the file again at SIGHUP, and `GET /admin/audit` searches it. Empty: no trail.',
    since,
  }),
  ...AUTH,
  ...TOKENS,
  ...FOREIGN,
  ...RULES,
} as const

export type AccessAction = 'pull' | 'push' | 'sign' | 'delete' | 'list' | 'admin'

/** One entry of `access:`. */
export interface AccessRule {
  readonly repositories: readonly string[]
  readonly users?: readonly string[]
  readonly groups?: readonly string[]
  readonly anonymous?: boolean
  readonly networks?: readonly string[]
  readonly actions: readonly AccessAction[]
}

export type TokensConfig = Fields<typeof TOKENS>

export interface ForeignTokensConfig extends Fields<typeof FOREIGN> {
  /** File or http(s) URL of the JWKS. */
  readonly jwks: string
}

export interface AuthConfig extends Fields<typeof AUTH> {
  /** Absolute; undefined with `none`. */
  readonly htpasswdFile: string | undefined
  readonly tokens: TokensConfig
  readonly foreign: ForeignTokensConfig | undefined
}

export interface AccessPart {
  /** Absolute, or `stdout`; undefined: no trail. */
  readonly auditFile: string | undefined
  readonly auth: AuthConfig
  readonly access: readonly AccessRule[]
}

export type AccessValues = ValuesOf<typeof ACCESS_SETTINGS>

export function accessPart(values: AccessValues, mirrors: readonly MirrorConfig[]): AccessPart {
  const audit = values['audit.file']
  const isHtpasswd = values['auth.type'] === 'htpasswd'
  const htpasswdFile = values['auth.htpasswd_file']
  return {
    auditFile: audit === '' ? undefined : audit === 'stdout' ? audit : resolve(audit),
    auth: {
      ...fieldsOf(AUTH, values),
      htpasswdFile: isHtpasswd ? htpasswdFile : undefined,
      tokens: fieldsOf(TOKENS, values),
      foreign: foreignTokens(values),
    },
    access: withMirrorRules(values, mirrors),
  }
}

/**
 * `anonymous_pull` of a mirror as the access rule that it is. An open registry stays open; where the
 * operator wrote no rules, users still may do everything.
 */
function withMirrorRules(
  values: AccessValues,
  mirrors: readonly MirrorConfig[],
): readonly AccessRule[] {
  const { access } = values
  const isOpen = access.length === 0 && values['auth.type'] === 'none'
  const pulls = mirrors
    .filter(({ anonymousPull }) => anonymousPull.length > 0)
    .map(({ name, anonymousPull }): AccessRule => {
      return {
        repositories: [`${name}/**`],
        anonymous: true,
        networks: anonymousPull,
        actions: ['pull'],
      }
    })
  if (isOpen || pulls.length === 0) return access
  return [...pulls, ...(access.length === 0 ? [forUsers] : access)]
}

const forUsers: AccessRule = {
  repositories: ['**'],
  actions: ['pull', 'push', 'sign', 'delete', 'list', 'admin'],
}

function foreignTokens(values: AccessValues): ForeignTokensConfig | undefined {
  const jwks = values['auth.foreign.jwks']
  const foreign = { ...fieldsOf(FOREIGN, values), jwks: isUrl(jwks) ? jwks : resolve(jwks) }
  return foreign.issuer === '' ? undefined : foreign
}

/** Whether clients need rights: accounts, rules, or tokens of another issuer. */
export function hasAccessControl(values: AccessValues): boolean {
  const hasRules = values['auth.type'] !== 'none' || values.access.length > 0
  return hasRules || values['auth.foreign.issuer'] !== ''
}

/** Settings that need each other, and rules for groups that there are not. */
export function accessContradictions(values: AccessValues): readonly Contradiction[] {
  const found: Contradiction[] = []
  if (values['auth.type'] === 'htpasswd' && values['auth.htpasswd_file'] === '') {
    const message = 'auth.htpasswd_file is missing; name the file with the users'
    found.push({ key: 'auth.type', message })
  }
  const foreign = ['auth.foreign.issuer', 'auth.foreign.jwks', 'auth.foreign.audience'] as const
  const missing = foreign.filter((key) => values[key] === '')
  if (missing.length > 0 && missing.length < foreign.length) {
    const key = foreign.find((one) => values[one] !== '')!
    const verb = missing.length > 1 ? 'are' : 'is'
    const message = `${missing.join(' and ')} ${verb} missing; tokens of another issuer need all three`
    found.push({ key, message })
  }
  const jwks = values['auth.foreign.jwks']
  if (isUrl(jwks) && !URL.canParse(jwks)) {
    const message = 'expected a file or an http or https URL'
    found.push({ key: 'auth.foreign.jwks', message })
  }
  const known = new Set(Object.keys(values['auth.groups']))
  for (const [index, { groups = [] }] of values.access.entries()) {
    const prefix = values['auth.foreign.group_prefix']
    const isForeign = (group: string) => missing.length === 0 && group.startsWith(prefix)
    const strange = groups.find((group) => !known.has(group) && !isForeign(group))
    if (strange === undefined || (missing.length > 0 && missing.length < foreign.length)) continue
    const hint = missing.length === 0 ? `; groups of auth.foreign begin with "${prefix}"` : ''
    const message = `[${index}].groups: "${strange}" is not a group of auth.groups${hint}`
    found.push({ key: 'access', message })
  }
  return found
}

function isUrl(text: string): boolean {
  return /^https?:\/\//i.test(text)
}
