/**
 * @module Settings of access control: users, tokens, rules. Values that open a registry by a slip
 * (an empty pattern, a rule with an unknown word) are refused with their place.
 */
import * as v from 'valibot'
import { compileGlob } from '../../registry/glob.ts'
import { fail, ok } from '../../registry/result.ts'
import { setting } from '../setting.ts'
import * as type from '../value-type.ts'

const since = '1.0.0'

/** Stands for the caller's name; never taken from the environment. */
const USER = `\${user}`

const words = v.pipe(v.string('expected text'), v.nonEmpty('expected text that is not empty'))
const names = v.pipe(
  words,
  v.check((text) => text === text.trim(), 'expected a name without blanks at its ends'),
)
const texts = v.array(names, 'expected a list of texts')
const someTexts = v.pipe(texts, v.minLength(1, 'expected a list of at least one'))
const pattern = v.pipe(
  words,
  v.check(isPattern, `expected a pattern in lower case such as "team/*", "**" or "home/${USER}/*"`),
)
const action = v.picklist(
  ['pull', 'push', 'delete', 'list', 'admin'],
  'expected pull, push, delete, list or admin',
)

/** Globs over repository names, in which `${user}` stands for the caller's name. */
export function isPattern(text: string): boolean {
  const plain = text.replaceAll(USER, 'user')
  return /^[a-z0-9._\-/*?{},[\]!]+$/.test(plain) && compileGlob(plain).ok
}

const rule = type.item({
  repositories: v.pipe(
    v.array(pattern, 'expected a list of patterns'),
    v.minLength(1, 'expected a list of at least one pattern'),
  ),
  users: v.exactOptional(someTexts),
  groups: v.exactOptional(someTexts),
  anonymous: v.exactOptional(v.boolean('expected true or false')),
  networks: v.exactOptional(
    v.pipe(
      v.array(type.network, 'expected a list of networks'),
      v.minLength(1, 'expected a list of at least one network'),
    ),
  ),
  actions: v.array(action, 'expected a list of actions'),
})

/** Members by group. A schema of records leaves out names such as `constructor`; these are anybody's. */
function groups(): type.ValueType<Readonly<Record<string, readonly string[]>>> {
  const name = 'mapping of groups to lists of users'
  return {
    name,
    parse(raw) {
      // A default is a list, like that of every other collection.
      if (Array.isArray(raw) && raw.length === 0) return ok({})
      if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
        return fail([{ path: [], message: `expected a ${name}` }])
      }
      const problems: type.ValueIssue[] = []
      for (const [group, members] of Object.entries(raw)) {
        const found = [v.safeParse(names, group), v.safeParse(texts, members)] as const
        for (const { message, path = [] } of found.flatMap(({ issues = [] }) => [...issues])) {
          const rest = path.map((step) => step.key as string | number)
          problems.push({ path: [group, ...rest], message })
        }
      }
      return problems.length > 0 ? fail(problems) : ok(Object.fromEntries(Object.entries(raw)))
    },
  }
}

/** An absolute http or https URL, or empty. */
function optionalUrl(): type.ValueType<string> {
  return {
    name: 'URL or empty',
    parse: (raw) =>
      raw === '' || (typeof raw === 'string' && /^https?:\/\/./i.test(raw) && URL.canParse(raw))
        ? ok(raw)
        : fail([{ path: [], message: 'expected an http or https URL' }]),
  }
}

const pair = type.item({ cert: words, key: words })

export const ACCESS_SETTINGS = {
  'server.also_listen_tls': setting({
    type: type.boolean(),
    default: false,
    doc: 'Serve `server.also_listen` with the certificates of `server.tls` too.',
    since,
  }),
  'server.tls.sni': setting({
    type: type.list('list of certificates', pair),
    default: [],
    doc: 'Further certificates `{cert, key}`, chosen by the name that a client asks for. All TLS files are read again when they change.',
    since,
  }),
  'server.trusted_proxies': setting({
    type: type.list('list of networks', type.network),
    default: [],
    doc: 'Addresses and networks of proxies: their `X-Forwarded-For`, `-Proto` and `-Host` are believed, or `Forwarded` where there is none of these; nobody else’s.',
    since,
  }),
  'server.proxy_protocol': setting({
    type: type.list('list of networks', type.network),
    default: [],
    doc: 'Addresses and networks of load balancers whose connections begin with a PROXY protocol header (version 1 or 2). One without it is refused; nobody else’s header is taken.',
    since,
  }),
  'limits.requests_per_second': setting({
    type: type.integer(0, 1_000_000),
    default: 0,
    unit: 'requests',
    doc: 'Requests a second of one client (an IPv4 address, or an IPv6 /64; a /48 has four times as many), and of one user; 0: no limit. Beyond it requests wait for up to a second, then get 503.',
    since,
  }),
  'limits.bytes_per_second': setting({
    type: type.size('0', '1TiB'),
    default: 0,
    doc: 'Body bytes a second, sent, received, or read from the disk for ranges, of one client (as above), and of one user; 0: no limit. Who has had more waits with the next request.',
    since,
  }),
  'audit.file': setting({
    type: type.text(),
    default: '',
    doc: 'Where the audit trail goes, one JSON line per change and per refusal (of many like one another, one a minute with their count): a file (opened anew at SIGHUP, searched by `GET /admin/audit`), or `stdout`. Empty: nowhere.',
    since,
  }),
  'auth.type': setting({
    type: type.oneOf('none', 'htpasswd'),
    default: 'none',
    doc: 'Who has an account: nobody, or the users of `auth.htpasswd_file`. With `none` and no `access` rules the registry is open to everybody.',
    since,
  }),
  'auth.htpasswd_file': setting({
    type: type.text(),
    default: '',
    doc: 'File with the users and the bcrypt hashes of their passwords. Read again when it changes.',
    since,
  }),
  'auth.groups': setting({
    type: groups(),
    default: [],
    doc: 'Groups of users for the rules: `{ci: [alice, bob]}`.',
    since,
  }),
  'auth.tokens.challenge': setting({
    type: type.oneOf('auto', 'bearer', 'basic'),
    default: 'auto',
    doc: 'What clients without credentials are asked for. `auto`: bearer tokens when `auth.tokens.realm` is set or a rule is for `anonymous`, else a password. Both are always taken.',
    since,
  }),
  'auth.tokens.realm': setting({
    type: optionalUrl(),
    default: '',
    doc: 'URL of this registry’s `/token` as clients reach it. Empty: from the `Host` of each request.',
    since,
  }),
  'auth.tokens.service': setting({
    type: type.text(),
    default: '',
    doc: 'Name of this registry in challenges and tokens. Empty: host and port of the realm.',
    since,
  }),
  'auth.tokens.issuer': setting({
    type: type.text({ lengthMin: 1 }),
    default: 'fastregistry',
    doc: 'Issuer of the tokens of this registry.',
    since,
  }),
  'auth.tokens.ttl': setting({
    type: type.duration('60s', '24h'),
    default: '10m',
    doc: 'Life of a bearer token.',
    since,
  }),
  'auth.tokens.refresh_ttl': setting({
    type: type.duration('10m', '365d'),
    default: '30d',
    doc: 'Life of a refresh token. A new password ends it early.',
    since,
  }),
  'auth.tokens.login_life': setting({
    type: type.duration('10m', '3650d'),
    default: '90d',
    doc: 'Time after a login by password at which its refresh tokens end, however often they were renewed.',
    since,
  }),
  'auth.tokens.key_life': setting({
    type: type.duration('1h', '3650d'),
    default: '90d',
    doc: 'Age at which the signing key is replaced. Older keys verify as long as a token may live.',
    since,
  }),
  'auth.foreign.issuer': setting({
    type: type.text(),
    default: '',
    doc: 'Issuer whose tokens are taken beside our own. Needs `auth.foreign.jwks` and `auth.foreign.audience`.',
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
    default: '',
    doc: 'Audience that its tokens must name.',
    since,
  }),
  'auth.foreign.user_claim': setting({
    type: type.text({ lengthMin: 1 }),
    default: 'sub',
    doc: 'Claim with the name of the user.',
    since,
  }),
  'auth.foreign.groups_claim': setting({
    type: type.text({ lengthMin: 1 }),
    default: 'groups',
    doc: 'Claim with the list of groups.',
    since,
  }),
  'auth.foreign.user_prefix': setting({
    type: type.text(),
    default: 'oidc:',
    doc: 'Goes in front of the names of those users, so that none of them is one of ours: rules say `users: ["oidc:job"]`.',
    since,
  }),
  'auth.foreign.group_prefix': setting({
    type: type.text(),
    default: 'oidc:',
    doc: 'Goes in front of the groups that those tokens name: rules say `groups: ["oidc:builders"]`.',
    since,
  }),
  access: setting({
    type: type.list('list of rules', rule),
    default: [],
    doc: 'Who may do what: the first rule that matches repository, caller and network decides. Empty: users may do everything, others nothing.',
    since,
    expandsEnvironment: false,
  }),
} as const
