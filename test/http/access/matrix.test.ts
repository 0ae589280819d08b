/**
 * @module Every endpoint, asked by every kind of caller, under several sets of rules: status, error
 * code and challenge are what the rules say, a refusal writes nothing, and what is not there is
 * refused in the same words as what is. The routes come from the code: one without a row fails.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EndpointNeed } from '../../../src/admin/needs.ts'
import { ACTIONS } from '../../../src/auth/caller.ts'
import { routeRows } from '../../../src/http/routes.ts'
import { basic, bearer, forgeToken, htpasswd } from '../../support/access.ts'
import {
  type Asker,
  blob,
  type EndpointRow,
  manifest,
  manifestType,
  mayDo,
  type Prepared,
  REGISTRY_ROWS,
  REPOSITORY_ROWS,
  type Rule,
  STRANGE_ROWS,
  scopeOf,
} from '../../support/access-matrix.ts'
import {
  dispose,
  ENGINES,
  type InProcessRegistry,
  startInProcess,
} from '../../support/in-process.ts'
import { type Answer, errorsOf, expectStatus, sha256 } from '../../support/registry-client.ts'
import { expectUnchanged } from '../../support/stored-content.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-matrix-'))
const file = join(folder, 'htpasswd')
afterAll(() => rmSync(folder, { recursive: true, force: true }))
writeFileSync(file, htpasswd({ root: 'root-secret', alice: 'alice-secret', bob: 'bob-secret' }))
const root = basic('root', 'root-secret')
const groups = { ci: ['alice'] }

/** The rules of the documentation, and what is easy to get wrong beside them. */
const RULES: readonly Rule[] = [
  { repositories: ['**'], users: ['root'], actions: ACTIONS },
  {
    repositories: [`home/\${user}/*`],
    users: ['alice', 'bob'],
    actions: ['pull', 'push', 'delete', 'list'],
  },
  { repositories: ['closed/*'], groups: ['ci'], actions: [] },
  { repositories: ['closed/*'], anonymous: true, actions: ['pull'] },
  { repositories: ['public/*'], anonymous: true, actions: ['pull', 'list'] },
  { repositories: ['inner/*'], anonymous: true, networks: ['10.0.0.0/8'], actions: ['pull'] },
  { repositories: ['local/*'], anonymous: true, networks: ['127.0.0.0/8'], actions: ['pull'] },
  { repositories: ['drop/*'], users: ['*'], actions: ['push'] },
  { repositories: ['/metrics'], users: ['bob'], actions: ['pull'] },
]

const REPOSITORIES = ['home/alice', 'home/bob', 'public', 'closed', 'inner', 'local', 'drop']

const SETTINGS: readonly { name: string; rules: readonly Rule[]; challenge: 'bearer' | 'basic' }[] =
  [
    { name: 'rules, asking for tokens', rules: RULES, challenge: 'bearer' },
    { name: 'rules, asking for passwords', rules: RULES, challenge: 'basic' },
    { name: 'users and no rules', rules: [], challenge: 'bearer' },
  ]

test('every route of the code has a row', () => {
  const known = [...routeRows].flatMap(([kind, { methods }]) =>
    Object.keys(methods).map((method) => `${kind} ${method}`),
  )
  const rows = new Set(
    [...REGISTRY_ROWS, ...REPOSITORY_ROWS].map((row) => `${row.kind} ${row.method}`),
  )
  expect([...rows].sort()).toEqual(known.sort())
})

const SUITES = SETTINGS.map((setting) => ({
  ...setting,
  engine: ENGINES[setting.challenge === 'basic' ? ENGINES.length - 1 : 0]!,
}))

describe.each(SUITES)('$name ($engine)', ({ engine, rules, challenge }) => {
  let registry: InProcessRegistry
  let askers: readonly Asker[]
  const prepared = new Map<string, Prepared>()
  let adminRows: readonly EndpointRow[]

  beforeAll(async () => {
    const tokens = { realm: 'http://registry.test/token', challenge }
    const auth = { type: 'htpasswd', htpasswd_file: file, groups, tokens }
    const signing = { attest: { enabled: true } }
    registry = await startInProcess({ engine, config: { auth, access: rules, signing } })
    askers = await makeAskers(registry)
    adminRows = await readAdminRows(registry)
    for (const name of REPOSITORIES) {
      prepared.set(`${name}/app`, await prepare(registry, `${name}/app`))
    }
    // On a fresh start nothing of that is left to be written.
    await registry.restart()
  })
  afterAll(() => dispose(registry))

  /** Each endpoint once for each thing that it may be asked about. */
  const cases = () => [
    ...[...REGISTRY_ROWS, ...STRANGE_ROWS, ...adminRows].map((row) => ({
      row,
      repository: undefined,
    })),
    ...[...prepared.keys()].flatMap((repository) =>
      REPOSITORY_ROWS.map((row) => ({ row, repository })),
    ),
  ]

  const may = (row: EndpointRow, asker: Asker, repository: string | undefined): boolean => {
    const isGood = asker.shows !== 'bad token' && asker.shows !== 'wrong password'
    if (row.needs === 'open') return true
    // The token endpoint takes passwords, and nobody's; a token is not exchanged for another.
    if (row.kind === 'token') {
      return row.method === 'POST' && asker.shows === 'token'
        ? false
        : isGood && asker.shows !== 'token'
    }
    if (row.needs === 'login') return isGood && asker.shows !== 'nothing'
    if (row.needs === 'token') return false
    const does = (action: typeof row.needs, resource: string | undefined) =>
      mayDo(rules, groups, asker, action as 'pull', resource)
    if (row.kind === 'metrics') return does('pull', '/metrics') || does('admin', '/metrics')
    if (row.kind === 'admin') return mayAdmin(row as AdminRow, asker, does)
    return does(row.needs, repository)
  }

  /** By what the endpoint's row in the document says that it needs. */
  const mayAdmin = (
    { need, method }: AdminRow,
    asker: Asker,
    does: (action: never, on: string) => boolean,
  ) => {
    // What these judge themselves is no right of a user.
    if (need === 'secret') return true
    // Wrong credentials are refused where none are needed, but for those who log in.
    const isGood = asker.shows !== 'bad token' && asker.shows !== 'wrong password'
    if (need === 'none') return method === 'POST' || isGood
    if (does('admin' as never, '/admin')) return true
    if (need === 'admin') return false
    // Which repositories a token is for is looked at when a repository is named.
    const { user, shows } = asker
    const anywhere = (actions: readonly string[]) =>
      actions.some((action) =>
        mayDo(
          rules,
          groups,
          (user === undefined ? { shows } : { user, shows }) as Asker,
          action as 'pull',
          undefined,
        ),
      )
    if (need === 'any') return anywhere(['list', 'pull', 'push', 'delete'])
    return need.every(
      ({ anyOf, at }) =>
        anywhere(anyOf) && (at !== 'path' || anyOf.some((action) => does(action as never, 'x'))),
    )
  }

  const refuse = async (asker: Asker, row: EndpointRow, repository: string | undefined) => {
    const where = repository === undefined ? NOTHING : prepared.get(repository)!
    const answer = await send(registry, row, where, asker)
    const what = `${asker.name}: ${row.method} ${row.path(where)}`
    expectRefusal(answer, row, asker, repository, challenge, what)
    if (repository === undefined) return
    // The same question about what is not there.
    const absent = absentOf(where)
    const other = await send(registry, row, absent, asker)
    expect(tellOf(other, absent), what).toEqual(tellOf(answer, where))
  }

  test('what the rules do not allow is refused in the right words, and writes nothing', async () => {
    let refusals = 0
    for (const asker of askers) {
      const refused = cases().filter(({ row, repository }) => !may(row, asker, repository))
      refusals += refused.length
      await expectUnchanged(registry.folder, asker.name, () =>
        Promise.all(refused.map(({ row, repository }) => refuse(asker, row, repository))),
      )
    }
    expect(refusals).toBeGreaterThan(200)
  })

  const allow = async (asker: Asker, row: EndpointRow, where: Prepared) => {
    const answer = await send(registry, row, where, asker)
    const what = `${asker.name}: ${row.method} ${row.path(where)}: ${answer.text.slice(0, 200)}`
    if (row.kind === 'admin') expect([401, 403, 500], what).not.toContain(answer.status)
    else expect(answer.status, what).toBe(row.done)
  }

  test('what they allow is done', async () => {
    let done = 0
    for (const asker of askers) {
      const allowed = cases().filter(
        // A stream has no end to wait for.
        ({ row, repository }) =>
          may(row, asker, repository) && !row.path(NOTHING).endsWith('/stream'),
      )
      done += allowed.length
      const [reads, writes] = [allowed.filter(isRead), allowed.filter((one) => !isRead(one))]
      const places = [...new Set(reads.map(({ repository }) => repository ?? ''))]
      const ready = new Map<string, Prepared>([['', NOTHING]])
      for (const name of places.filter((place) => place !== '')) {
        ready.set(name, await prepare(registry, name, asker.headers))
      }
      await Promise.all(
        reads.map(({ row, repository = '' }) => allow(asker, row, ready.get(repository)!)),
      )
      for (const { row, repository } of writes) {
        await allow(
          asker,
          row,
          repository === undefined ? NOTHING : await prepare(registry, repository, asker.headers),
        )
      }
    }
    expect(done).toBeGreaterThan(100)
    expect(registry.faults).toEqual([])
  })
})

const isRead = ({ row }: { row: EndpointRow }) => row.method === 'GET' || row.method === 'HEAD'

const NOTHING: Prepared = { repository: '', session: '' }

/** As root: one manifest with a tag, one blob; one open session, of whoever asks if he may have one. */
async function prepare(
  registry: InProcessRegistry,
  repository: string,
  headers = root,
): Promise<Prepared> {
  const { client } = registry
  const uploads = `/v2/${repository}/blobs/uploads/`
  const pushed = await client.request('POST', `${uploads}?digest=${sha256(blob)}`, {
    headers: root,
    body: blob,
  })
  expectStatus(pushed, 201, 'pushing the blob')
  const tagged = await client.request('PUT', `/v2/${repository}/manifests/v1`, {
    headers: { ...root, 'Content-Type': manifestType },
    body: manifest,
  })
  expectStatus(tagged, 201, 'pushing the manifest')
  const own = await client.request('POST', uploads, { headers })
  const session =
    own.status === 202 ? own : await client.request('POST', uploads, { headers: root })
  return { repository, session: session.headers['location']! }
}

async function makeAskers(registry: InProcessRegistry): Promise<readonly Asker[]> {
  const token = async (scope: string, headers: Record<string, string>) => {
    const query = new URLSearchParams({ service: 'registry.test', scope })
    const answer = await registry.client.get(`/token?${query}`, headers)
    expectStatus(answer, 200, 'asking for a token')
    return (answer.json as { token: string }).token
  }
  const alice = basic('alice', 'alice-secret')
  const everything = REPOSITORIES.map((name) => `repository:${name}/app:*`).join(' ')
  const scopes = Object.fromEntries(
    REPOSITORIES.map((name) => [`repository:${name}/app`, ['*', ...ACTIONS]]),
  )
  const full = await token(`${everything} registry:catalog:*`, alice)
  const { pwd, access } = decodeJwt(full)
  const anHourAgo = Math.floor(Date.now() / 1000) - 3600
  const late = { sub: 'alice', pwd, access, iat: anHourAgo - 600, exp: anHourAgo }
  const shows = { password: 'password', token: 'token' } as const
  const asker = (
    name: string,
    headers: Record<string, string>,
    user: string | undefined,
    how: Asker['shows'],
    limited?: Asker['scopes'],
  ): Asker => ({
    name,
    headers,
    user,
    shows: how,
    ...(limited === undefined ? {} : { scopes: limited }),
  })
  const forged = `${full.slice(0, -6)}AAAAAA`
  return [
    asker('anonymous', {}, undefined, 'nothing'),
    asker('alice', alice, 'alice', shows.password),
    asker('another user', basic('bob', 'bob-secret'), 'bob', shows.password),
    asker('a wrong password', basic('alice', 'wrong'), undefined, 'wrong password'),
    asker('nobody we know', basic('mallory', 'wrong'), undefined, 'wrong password'),
    asker('malformed credentials', { authorization: 'Basic %%%' }, undefined, 'wrong password'),
    asker(
      'an expired token',
      bearer(await forgeToken(registry.folder, late)),
      undefined,
      'bad token',
    ),
    asker('a forged token', bearer(forged), undefined, 'bad token'),
    asker('a full token of alice', bearer(full), 'alice', shows.token, {
      ...scopes,
      'registry:catalog': ['*', 'list'],
    }),
    asker('a token without scope', bearer(await token('', alice)), 'alice', shows.token, {}),
    asker(
      'a token for another repository',
      bearer(await token('repository:home/alice/other:pull,push', alice)),
      'alice',
      shows.token,
      { 'repository:home/alice/other': ['pull', 'push'] },
    ),
    asker(
      'a token to pull alone',
      bearer(await token('repository:home/alice/app:pull', alice)),
      'alice',
      shows.token,
      { 'repository:home/alice/app': ['pull'] },
    ),
    asker('a token of nobody', bearer(await token(everything, {})), undefined, shows.token, scopes),
    asker('root', root, 'root', shows.password),
  ]
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { 'x-need': EndpointNeed }>>>>
}

interface AdminRow extends EndpointRow {
  readonly need: EndpointNeed
}

/** The endpoints of the admin API, from its own document. */
async function readAdminRows({ client }: InProcessRegistry): Promise<readonly EndpointRow[]> {
  const answer = await client.get('/admin/openapi.json', root)
  const { paths } = answer.json as Document
  const rows = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(
      ([method, operation]): AdminRow => ({
        need: operation['x-need'],
        kind: 'admin',
        method: method.toUpperCase(),
        path: () => path.replaceAll(/\{[^}]+\}/g, 'x'),
        needs: 'admin',
        done: 200,
      }),
    ),
  )
  expect(rows.length).toBeGreaterThan(25)
  return rows
}

function send(
  { client }: InProcessRegistry,
  row: EndpointRow,
  where: Prepared,
  asker: Asker,
): Promise<Answer> {
  const type: Record<string, string> = row.type === undefined ? {} : { 'Content-Type': row.type }
  return client.request(row.method, row.path(where), {
    headers: { ...asker.headers, ...type },
    ...(row.body === undefined ? {} : { body: row.body }),
  })
}

function expectRefusal(
  answer: Answer,
  row: EndpointRow,
  asker: Asker,
  repository: string | undefined,
  challenge: 'bearer' | 'basic',
  what: string,
): void {
  const isKnown = asker.user !== undefined
  const isOutside = row.kind === 'admin' || row.kind === 'metrics'
  const isDenied = isOutside && isKnown
  expect(answer.status, what).toBe(isDenied ? 403 : 401)
  if (row.method === 'HEAD') expect(answer.body.length, what).toBe(0)
  else expect(errorsOf(answer)[0]?.code, what).toBe(isDenied ? 'DENIED' : 'UNAUTHORIZED')
  const header = answer.headers['www-authenticate']
  if (isDenied) {
    expect(header, what).toBeUndefined()
  } else if (row.kind === 'token' || challenge === 'basic') {
    expect(header, what).toBe('Basic realm="FastRegistry", charset="UTF-8"')
  } else {
    const scope = isOutside ? undefined : scopeOf(row, repository)
    const error = { 'bad token': 'invalid_token', token: 'insufficient_scope' }[
      asker.shows as string
    ]
    expect(header, what).toBe(
      'Bearer realm="http://registry.test/token",service="registry.test"' +
        (scope === undefined ? '' : `,scope="${scope}"`) +
        (error === undefined ? '' : `,error="${error}"`),
    )
  }
}

function absentOf({ repository, session }: Prepared): Prepared {
  const absent = repository.replace(/app$/, 'not')
  return { repository: absent, session: session.replace(repository, absent) }
}

/** An answer as it can be compared with that about another repository. */
function tellOf(answer: Answer, { repository }: Prepared) {
  const headers = Object.entries(answer.headers).filter(
    ([name]) => !/^(date|x-request-id|content-length)$/.test(name),
  )
  const text = JSON.stringify([
    answer.status,
    headers,
    answer.text.replace(/"requestId":"[^"]+"/, ''),
  ])
  return text.replaceAll(repository, 'REPOSITORY')
}
