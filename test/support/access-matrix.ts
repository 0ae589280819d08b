/**
 * @module Every endpoint and what it needs, every kind of caller, and a second reading of the rules:
 * the matrix test (`http/access/matrix.test.ts`) multiplies them. Written from the documentation and
 * apart from `src/auth` and `src/http/access/needs.ts`, so that a slip there shows here.
 */
import { ACTIONS, type Action } from '../../src/auth/caller.ts'
import { sha256 } from './registry-client.ts'

/** A rule of `access:` as the configuration has it. */
export interface Rule {
  readonly repositories: readonly string[]
  readonly users?: readonly string[]
  readonly groups?: readonly string[]
  readonly anonymous?: boolean
  readonly networks?: readonly string[]
  readonly actions: readonly Action[]
}

/** Who sends a request, by what he shows. */
export interface Asker {
  readonly name: string
  readonly headers: Readonly<Record<string, string>>
  /** Whose rights the credentials carry; undefined: nobody's. */
  readonly user: string | undefined
  readonly shows: 'nothing' | 'password' | 'wrong password' | 'token' | 'bad token'
  /** What a token is limited to; undefined: not limited. */
  readonly scopes?: Readonly<Record<string, readonly string[]>>
}

/** What stands in a repository before a request comes. */
export interface Prepared {
  readonly repository: string
  /** Path of an open upload session. */
  readonly session: string
}

export interface EndpointRow {
  /** Kind of route and method, as in the table of routes. */
  readonly kind: string
  readonly method: string
  readonly path: (prepared: Prepared) => string
  readonly body?: Uint8Array
  readonly type?: string
  /** `login`: any good credentials will do. `open`: everybody. `token`: checks credentials itself. */
  readonly needs: Action | 'login' | 'open' | 'token'
  /** Status for a caller who may. */
  readonly done: number
}

export const blob = Buffer.from('a blob of the matrix')
export const manifest = Buffer.from('{"schemaVersion":2,"manifests":[]}')
export const manifestType = 'application/vnd.oci.image.index.v1+json'
const blobDigest = sha256(blob)
const manifestDigest = sha256(manifest)
const other = Buffer.from('{"schemaVersion":2,"manifests":[],"annotations":{"other":"yes"}}')
const otherBlob = Buffer.from('another blob of the matrix')

type Short = Omit<EndpointRow, 'kind' | 'method'>

function rows(kind: string, methods: Readonly<Record<string, Short>>): EndpointRow[] {
  return Object.entries(methods).map(([method, row]) => ({ kind, method, ...row }))
}

function getAndHead(path: EndpointRow['path'], needs: EndpointRow['needs'], done = 200) {
  return { GET: { path, needs, done }, HEAD: { path, needs, done } }
}

const fixed = (path: string) => () => path
const below = (tail: string) => (prepared: Prepared) => `/v2/${prepared.repository}/${tail}`
const putBlob = (prepared: Prepared) => `${prepared.session}?digest=${sha256(otherBlob)}`

/** Routes below a repository. */
export const REPOSITORY_ROWS: readonly EndpointRow[] = [
  ...rows('manifest', {
    ...getAndHead(below('manifests/v1'), 'pull'),
    PUT: {
      path: below('manifests/v1'),
      body: other,
      type: manifestType,
      needs: 'push',
      done: 201,
    },
    DELETE: { path: below('manifests/v1'), needs: 'delete', done: 202 },
  }),
  ...rows('manifest', {
    ...getAndHead(below(`manifests/${manifestDigest}`), 'pull'),
    PUT: {
      path: below(`manifests/${sha256(other)}`),
      body: other,
      type: manifestType,
      needs: 'push',
      done: 201,
    },
    DELETE: { path: below(`manifests/${manifestDigest}`), needs: 'delete', done: 202 },
  }),
  ...rows('blob', {
    ...getAndHead(below(`blobs/${blobDigest}`), 'pull'),
    DELETE: { path: below(`blobs/${blobDigest}`), needs: 'delete', done: 202 },
  }),
  ...rows('uploads', { POST: { path: below('blobs/uploads/'), needs: 'push', done: 202 } }),
  ...rows('uploads', {
    POST: {
      path: below(`blobs/uploads/?digest=${sha256(otherBlob)}`),
      body: otherBlob,
      needs: 'push',
      done: 201,
    },
  }),
  ...rows('upload', {
    ...getAndHead(({ session }) => session, 'push', 204),
    PATCH: { path: ({ session }) => session, body: otherBlob, needs: 'push', done: 202 },
    PUT: { path: putBlob, body: otherBlob, needs: 'push', done: 201 },
    DELETE: { path: ({ session }) => session, needs: 'push', done: 204 },
  }),
  ...rows('tags', getAndHead(below('tags/list'), 'list')),
  ...rows('referrers', getAndHead(below(`referrers/${manifestDigest}`), 'pull')),
  ...rows('repositoryExtensions', getAndHead(below('_oci/ext/discover'), 'pull')),
]

/** Routes of the registry as a whole. */
export const REGISTRY_ROWS: readonly EndpointRow[] = [
  ...rows('index', {
    ...getAndHead(fixed('/'), 'open'),
    OPTIONS: { path: fixed('/'), needs: 'open', done: 204 },
  }),
  ...rows('ui', getAndHead(fixed('/ui/'), 'open')),
  ...rows('health', getAndHead(fixed('/health'), 'open')),
  ...rows('live', getAndHead(fixed('/livez'), 'open')),
  ...rows('ready', getAndHead(fixed('/readyz'), 'open')),
  ...rows('jwks', getAndHead(fixed('/.well-known/jwks.json'), 'open')),
  ...rows('signingKeys', getAndHead(fixed('/.well-known/fastregistry-signing.pem'), 'open')),
  ...rows('token', {
    GET: { path: fixed('/token?service=registry.test'), needs: 'token', done: 200 },
    POST: {
      path: fixed('/token'),
      body: Buffer.from('service=registry.test'),
      type: 'application/x-www-form-urlencoded',
      needs: 'token',
      done: 200,
    },
  }),
  ...rows('metrics', getAndHead(fixed('/metrics'), 'pull')),
  ...rows('base', getAndHead(fixed('/v2/'), 'login')),
  ...rows('extensions', getAndHead(fixed('/v2/_oci/ext/discover'), 'login')),
  ...rows('catalog', getAndHead(fixed('/v2/_catalog'), 'list')),
]

/** Paths and methods that are nothing: only who has logged in hears that. */
export const STRANGE_ROWS: readonly EndpointRow[] = [
  { path: fixed('/v2/no/such/path'), needs: 'login' as const, done: 404 },
  { path: fixed('/v2/UPPER/manifests/1'), needs: 'login' as const, done: 400 },
  { path: fixed('/v2/a%2Fb/manifests/1'), needs: 'login' as const, done: 400 },
].map((row) => ({ kind: 'none', method: 'GET', ...row }))

/** The scope that a challenge names. */
export function scopeOf(row: EndpointRow, repository: string | undefined): string | undefined {
  if (row.kind === 'catalog') return 'registry:catalog:*'
  if (repository === undefined) return undefined
  const actions = { push: 'pull,push', delete: 'delete' }[row.needs as string] ?? 'pull'
  return `repository:${repository}:${actions}`
}

/** Whether the asker may; `resource` undefined: any repository at all. */
export function mayDo(
  rules: readonly Rule[],
  groups: Readonly<Record<string, readonly string[]>>,
  asker: Pick<Asker, 'user' | 'shows' | 'scopes'>,
  action: Action,
  resource: string | undefined,
): boolean {
  if (asker.shows === 'wrong password' || asker.shows === 'bad token') return false
  const { scopes, user } = asker
  if (scopes !== undefined) {
    const given = scopes[scopeNameOf(resource)] ?? []
    const wanted: readonly string[] = action === 'list' ? ['list', 'pull', '*'] : [action, '*']
    if (!wanted.some((one) => given.includes(one))) return false
  }
  const all = rules.length === 0 ? [{ repositories: ['**'], actions: ACTIONS }] : rules
  const names = (rule: Rule) => isNamed(rule, groups, user)
  const isHere = ({ networks }: Rule) =>
    networks === undefined || networks.some((network) => network.startsWith('127.'))
  if (resource === undefined) {
    return all.some(
      (rule: Rule) =>
        isHere(rule) && rule.actions.includes(action) && (names(rule) || rule.anonymous === true),
    )
  }
  const fits = (rule: Rule) => isHere(rule) && covers(rule, action, resource, user ?? '')
  const rule =
    all.find((one: Rule) => names(one) && fits(one)) ??
    all.find((one: Rule) => one.anonymous === true && fits(one))
  return rule?.actions.includes(action) === true
}

function scopeNameOf(resource: string | undefined): string {
  if (resource === undefined) return 'registry:catalog'
  return resource.startsWith('/') ? 'registry:admin' : `repository:${resource}`
}

function isNamed(
  { users, groups: wanted, anonymous }: Rule,
  groups: Readonly<Record<string, readonly string[]>>,
  user: string | undefined,
): boolean {
  if (user === undefined) return false
  if (users === undefined && wanted === undefined) return anonymous !== true
  if (users?.includes(user) === true || users?.includes('*') === true) return true
  return wanted?.some((group) => groups[group]?.includes(user) === true) === true
}

function covers({ repositories }: Rule, action: Action, resource: string, user: string): boolean {
  if (resource.startsWith('/')) {
    return repositories.includes(resource) || (action === 'admin' && repositories.includes('**'))
  }
  return repositories.some((pattern) =>
    isMatch(pattern.replaceAll(`\${user}`, user).split('/'), resource.split('/')),
  )
}

/** Globs read component by component, without a regular expression. */
function isMatch(pattern: readonly string[], name: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return name.length === 0
  if (first === '**') {
    // At the end it stands for something; in front of a slash it may stand for nothing.
    if (rest.length === 0) return name.length > 0
    return isMatch(rest, name) || (name.length > 0 && isMatch(pattern, name.slice(1)))
  }
  if (name.length === 0) return false
  return isMatchOne(first, name[0]!) && isMatch(rest, name.slice(1))
}

function isMatchOne(pattern: string, text: string): boolean {
  if (pattern === '') return text === ''
  if (pattern[0] === '*') {
    return isMatchOne(pattern.slice(1), text) || (text !== '' && isMatchOne(pattern, text.slice(1)))
  }
  return text !== '' && (pattern[0] === '?' || pattern[0] === text[0])
    ? isMatchOne(pattern.slice(1), text.slice(1))
    : false
}
