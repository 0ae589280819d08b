/**
 * @module What clients see of refusals that a test over sockets reaches hardly or not at all: code,
 * status, headers and detail, as `respondError` sends them, and whether they are a line of the log.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { CredentialsRefused } from '../../../src/auth/authenticator.ts'
import { LoginPutOff } from '../../../src/auth/login-delay.ts'
import { DiskRoom } from '../../../src/blobs/files/room.ts'
import { FileBlobWriter } from '../../../src/blobs/files/writer.ts'
import { ClientQuota } from '../../../src/distribution/client-quota.ts'
import { Deletes } from '../../../src/distribution/delete.ts'
import { ManifestReader } from '../../../src/distribution/manifest-reader.ts'
import { Protection } from '../../../src/distribution/protection.ts'
import { ManifestPushes } from '../../../src/distribution/push-manifest.ts'
import { TagLocks } from '../../../src/distribution/tag-locks.ts'
import { readInTime } from '../../../src/distribution/upload/body.ts'
import {
  outOfOrder,
  sessionInUse,
  takenOver,
  unknownSession,
  wrongLength,
} from '../../../src/distribution/upload/refusals.ts'
import { judgeManifest, unpackVerdict } from '../../../src/distribution/worker/read-manifest.ts'
import { Collector } from '../../../src/gc/collector.ts'
import { Explain } from '../../../src/gc/explain.ts'
import { Plans } from '../../../src/gc/plan/plans.ts'
import type { HttpRequest, HttpResponse, ResponseHead } from '../../../src/http/engine/port.ts'
import { BlobHandlers } from '../../../src/http/handlers/blobs.ts'
import { ManifestHandlers } from '../../../src/http/handlers/manifests.ts'
import { noReferrers } from '../../../src/http/handlers/mirror-answers.ts'
import { ServiceHandlers } from '../../../src/http/handlers/service.ts'
import { TokenHandlers } from '../../../src/http/handlers/token.ts'
import { allSources } from '../../../src/http/handlers/uploads.ts'
import { RequestLimits } from '../../../src/http/request-limits.ts'
import { respondError } from '../../../src/http/respond-error.ts'
import { DirectCommits, type StartCommits } from '../../../src/metadata/lmdb/commits.ts'
import { LmdbMetadataStore } from '../../../src/metadata/lmdb/store.ts'
import { tooYoung } from '../../../src/mirror/cooldown.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import { parseDigest } from '../../../src/registry/digest.ts'
import { storageFault } from '../../../src/registry/disk-fault.ts'
import { parseRepositoryName } from '../../../src/registry/name.ts'
import { parseReference } from '../../../src/registry/reference.ts'
import { unwrap } from '../../../src/registry/result.ts'
import { parseTag } from '../../../src/registry/tag.ts'
import { Copies } from '../../../src/repositories/copy.ts'
import { Repositories } from '../../../src/repositories/delete-rename.ts'
import { Undelete } from '../../../src/repositories/undelete.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { openGate } from '../../../src/signing/gate.ts'
import { type Failure, toRegistryError, UpstreamError } from '../../../src/upstream/error.ts'

const repository = unwrap(parseRepositoryName('team/app'))
const digest = unwrap(parseDigest(`sha256:${'a'.repeat(64)}`))
const tag = unwrap(parseTag('v1'))
const reference = unwrap(parseReference('v1'))
const place = { repository, id: 'f'.repeat(32), offsetBytes: 10 }
const placeHeaders = {
  Location: `/v2/team/app/blobs/uploads/${place.id}`,
  Range: '0-9',
  'Docker-Upload-UUID': place.id,
}

/** What is on every refusal, and no news. */
const USUAL = [
  'Docker-Distribution-API-Version',
  'Content-Type',
  'X-Content-Type-Options',
  'X-Request-Id',
]

interface Seen {
  readonly answer: string
  readonly headers: Readonly<Record<string, string>>
  readonly message: string
  readonly detail: unknown
  readonly isLogged: boolean
  readonly isClosed: boolean
}

function seen(error: unknown): Seen {
  const lines: string[] = []
  let sent: { head: ResponseHead; body: string } | undefined
  let isClosed = false
  const response = {
    state: 'open',
    closeAfter: () => {
      isClosed = true
    },
    send: (head: ResponseHead, body: string) => {
      sent = { head, body }
    },
  }
  const logger = createLogger('info', { write: (text) => lines.push(text) })
  const request = { id: 'id-1', method: 'GET' } as HttpRequest
  respondError(request, response as unknown as HttpResponse, error, logger)
  const { head, body } = sent!
  const [first] = (JSON.parse(body) as { errors: Record<string, unknown>[] }).errors
  return {
    answer: `${head.status} ${String(first!['code'])}`,
    headers: Object.fromEntries(head.headers.filter(([name]) => !USUAL.includes(name))),
    message: String(first!['message']),
    detail: first!['detail'],
    isLogged: lines.length > 0,
    isClosed,
  }
}

async function thrownBy(act: () => unknown): Promise<unknown> {
  try {
    await act()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

/** A store that answers reads from `rows`, and whose commits never apply: as `outcome` says why. */
function storeOf(rows: Readonly<Record<string, unknown>> = {}, outcome: object = {}): never {
  return {
    get: (table: string) => rows[table],
    getBytes: (table: string) => rows[table],
    keys: (table: string) => rows[`${table} keys`] ?? [],
    entries: (table: string) => rows[`${table} entries`] ?? [],
    pageIn: () => undefined,
    commit: async () => ({ applied: false, ...outcome }),
  } as never
}

const clock = { now: () => 0, monotonic: () => 0 }
const parts = {
  clock,
  tagLocks: new TagLocks(),
  protection: new Protection(),
} as never

/** A thread that takes everything and answers nothing. */
const mute = () =>
  ({
    port: { on: () => {}, postMessage: () => {} },
    done: new Promise(() => {}),
    ended: new Promise(() => {}),
  }) as never

const manifestRow = { mediaType: 'x', sizeBytes: 2 }
const bytes = Buffer.from('{"schemaVersion":2,"manifests":[]}')
const contentType = 'application/vnd.oci.image.index.v1+json'

describe('uploads', () => {
  test.each([
    ['a chunk out of order', outOfOrder(place), '416 BLOB_UPLOAD_INVALID', placeHeaders],
    [
      'a session in use',
      sessionInUse(place),
      '409 BLOB_UPLOAD_INVALID',
      { ...placeHeaders, 'Retry-After': '1' },
    ],
    ['a session taken over', takenOver(), '409 BLOB_UPLOAD_INVALID', {}],
    ['a wrong length', wrongLength(5), '400 SIZE_INVALID', {}],
    ['an unknown session', unknownSession('u'), '404 BLOB_UPLOAD_UNKNOWN', {}],
  ])('%s', (_name, error, answer, headers) => {
    expect(seen(error)).toMatchObject({ answer, headers, isLogged: false, isClosed: false })
    expect(seen(error).headers).toEqual(headers)
  })

  test('say where the session stands, what was expected, and which is unknown', () => {
    expect(seen(outOfOrder(place)).detail).toEqual({ offset: 10 })
    expect(seen(sessionInUse(place)).detail).toEqual({ offset: 10 })
    expect(seen(takenOver()).detail).toBeNull()
    expect(seen(wrongLength(5)).detail).toEqual({ expected: 5 })
    expect(seen(unknownSession('u')).detail).toEqual({ upload: 'u' })
  })

  test('too many of one address', () => {
    const quota = new ClientQuota(1)
    quota.take('192.0.2.1')
    return thrownBy(() => quota.take('192.0.2.1')).then((error) => {
      expect(seen(error)).toMatchObject({
        answer: '503 UNAVAILABLE',
        headers: { 'Retry-After': '5' },
        detail: { open: 1, max: 1 },
        isLogged: false,
      })
    })
  })

  test('too many large ones', async () => {
    const writer = new FileBlobWriter({ workers: { hasRoom: false } } as never)
    const error = await thrownBy(() => writer.adopt('u', 'sha256', 0))
    expect(seen(error)).toMatchObject({
      answer: '503 UNAVAILABLE',
      headers: { 'Retry-After': '2' },
      message: 'too many large uploads at once; try again in a moment',
      isLogged: false,
    })
  })

  test('a body that is too slow: the connection is closed after the answer', async () => {
    const body = { bodyBytes: undefined, readBody: () => new Promise<void>(() => {}) }
    const realNow = performance.now
    let now = 0
    performance.now = () => (now += 1e9)
    try {
      const error = await thrownBy(() => readInTime(body as never, () => {}))
      expect(seen(error)).toMatchObject({
        answer: '408 SIZE_INVALID',
        headers: {},
        isClosed: true,
      })
    } finally {
      performance.now = realNow
    }
  })

  test('a mount in an open registry asks for no credentials that it could name', async () => {
    const error = await thrownBy(() => allSources.askFor(repository, repository))
    expect(seen(error)).toMatchObject({ answer: '401 UNAUTHORIZED', headers: {} })
  })
})

describe('the disk', () => {
  const errno = (code: string) => Object.assign(new Error(`${code}: /secret/path`), { code })

  test.each(['ENOSPC', 'EDQUOT', 'EFBIG', 'MDB_MAP_FULL'])('%s', (code) => {
    const answer = seen(storageFault(errno(code)))
    expect(answer).toMatchObject({ answer: '507 UNAVAILABLE', headers: {}, isLogged: true })
    expect(answer.message).toBe('the registry has no space left; nothing was stored')
  })

  test.each(['EMFILE', 'ENFILE', 'EAGAIN', 'ENOMEM'])('%s', (code) => {
    const answer = seen(storageFault(errno(code)))
    expect(answer.headers).toEqual({ 'Retry-After': '1' })
    // It has a cause, which the operator must see.
    expect(answer).toMatchObject({ answer: '503 UNAVAILABLE', isLogged: true })
  })

  test('any other fault', () => {
    expect(seen(storageFault(errno('EIO')))).toMatchObject({
      answer: '500 UNKNOWN',
      headers: {},
      detail: null,
      isLogged: true,
    })
  })

  test('short of room', async () => {
    const space = new DiskRoom('/', Number.POSITIVE_INFINITY)
    const error = await thrownBy(() => space.require())
    expect(seen(error)).toMatchObject({ answer: '507 UNAVAILABLE', headers: {}, isLogged: true })
  })
})

describe('too much at once', () => {
  const busy = { answer: '503 UNAVAILABLE', headers: { 'Retry-After': '1' }, isLogged: false }

  test('transactions', async () => {
    const commits: StartCommits = (listener) => new DirectCommits(mute, listener)
    const store = new LmdbMetadataStore({} as never, commits, {} as never)
    const error = await thrownBy(async () => {
      const all = Array.from({ length: 20_001 }, () => store.commit({ checks: [], changes: [] }))
      for (const one of all) one.catch(() => undefined)
      await all.at(-1)
    })
    expect(seen(error)).toMatchObject(busy)
  })

  test('large manifests', async () => {
    const reader = new ManifestReader(mute)
    const text = { bytes: Buffer.alloc(100_000), contentType, claimed: undefined }
    const error = await thrownBy(() => {
      for (let count = 0; count < 33; count += 1) void reader.read(text)
    })
    expect(seen(error)).toMatchObject(busy)
  })

  test('questions why something stays', async () => {
    const explain = new Explain({} as never, {} as never)
    const ask = () => explain.repository(repository, undefined, 0, new AbortController().signal)
    for (let count = 0; count < 16; count += 1) void ask().catch(() => undefined)
    expect(seen(await thrownBy(ask))).toMatchObject(busy)
  })

  test('changes of one repository', async () => {
    const metadata = storeOf({ links: {} })
    const deletes = new Deletes(metadata, true, parts)
    const ofDelete = await thrownBy(() => deletes.deleteBlob(repository, digest))
    expect(seen(ofDelete)).toMatchObject(busy)
    const pushParts = {
      ...(parts as object),
      readBlob: () => undefined,
      gate: openGate,
      readManifest: () => unpackVerdict(judgeManifest({ bytes, contentType, claimed: undefined })),
    } as never
    const pushesTo = (store: never) =>
      new ManifestPushes(store, {} as never, clock as never, pushParts)
    const pushes = pushesTo(metadata)
    const push = { repository, reference, tags: [], contentType, bytes, by: 'x' }
    const none = { ifMatch: undefined, ifNoneMatch: undefined }
    const ofPush = await thrownBy(() =>
      pushes.push({ ...push, expected: undefined, condition: none }),
    )
    expect(seen(ofPush)).toMatchObject(busy)
    const ifMatch = { ifMatch: `"${digest}"`, ifNoneMatch: undefined }
    const refusal = { why: 'condition', tag, current: undefined }
    const refusing = pushesTo(storeOf({ links: {} }, { refusal }))
    const ofCondition = await thrownBy(() =>
      refusing.push({ ...push, expected: undefined, condition: ifMatch }),
    )
    expect(seen(ofCondition)).toMatchObject({
      answer: '412 MANIFEST_INVALID',
      headers: {},
      detail: { current: null },
    })
  })

  test('requests of one client', async () => {
    const limits = new RequestLimits(
      { requestsPerSecond: 1, bytesPerSecond: 0, burstSeconds: 1 } as never,
      { monotonic: () => 0 } as never,
    )
    const request = { remoteAddress: '192.0.2.1', caller: { kind: 'anonymous' } } as HttpRequest
    const error = await thrownBy(() => {
      for (let count = 0; count < 100; count += 1) void limits.takeAddress(request)
    })
    expect(seen(error)).toMatchObject({ answer: '503 UNAVAILABLE', isLogged: false })
    expect(Number(seen(error).headers['Retry-After'])).toBeGreaterThan(0)
  })

  test('logins', () => {
    expect(seen(new LoginPutOff('throttled', 'wait', 7))).toMatchObject({
      answer: '503 UNAVAILABLE',
      headers: { 'Retry-After': '7' },
      message: 'wait',
      isLogged: false,
    })
  })
})

describe('deletes and moves', () => {
  test('switched off', async () => {
    const deletes = new Deletes(storeOf(), false, parts)
    for (const act of [
      () => deletes.deleteTag(repository, tag),
      () => deletes.deleteManifest(repository, digest),
      () => deletes.deleteBlob(repository, digest),
    ]) {
      expect(seen(await thrownBy(act))).toMatchObject({
        answer: '405 UNSUPPORTED',
        headers: { Allow: 'GET, HEAD, PUT' },
        message: 'deleting is switched off on this registry (policy.delete)',
      })
    }
  })

  test('of a blob that is in use', async () => {
    const rows = { links: {}, 'parents keys': [[digest, repository, 'sha256:b']] }
    const deletes = new Deletes(storeOf(rows), true, parts)
    expect(seen(await thrownBy(() => deletes.deleteBlob(repository, digest)))).toMatchObject({
      answer: '405 UNSUPPORTED',
      headers: { Allow: 'GET, HEAD' },
      detail: { digest, manifest: 'sha256:b' },
    })
  })

  test('of what is immutable or pinned', async () => {
    const protection = new Protection([{ repositories: ['**'], tags: ['*'] }])
    const ofTag = await thrownBy(() => protection.requireMovable(repository, tag, digest))
    expect(seen(ofTag)).toMatchObject({
      answer: '409 DENIED',
      headers: {},
      detail: { tag, current: digest },
    })
    const pins = [{ key: [digest, 'pin-1'], row: { repository } }]
    const metadata = storeOf({ 'pins entries': pins })
    const ofPin = await thrownBy(() =>
      protection.requireUnpinned(metadata, clock as never, repository, digest),
    )
    expect(seen(ofPin)).toMatchObject({
      answer: '409 DENIED',
      headers: {},
      detail: { digest, pin: 'pin-1' },
    })
  })

  test('a new name that is taken', async () => {
    const metadata = storeOf({ repositories: {} })
    const repositories = new Repositories({ metadata } as never)
    const other = unwrap(parseRepositoryName('other'))
    const error = await thrownBy(() => repositories.requireRenamable(repository, other))
    expect(seen(error)).toMatchObject({
      answer: '409 DENIED',
      headers: {},
      message: 'the new name is taken',
    })
  })

  test('a copy that ends early', async () => {
    const rows = { tags: { digest }, manifests: manifestRow }
    const copies = new Copies(storeOf(rows), {} as never, clock as never, openGate)
    const request = { from: repository, to: repository, reference, tag, by: 'x' }
    const aborted = AbortSignal.abort()
    const all = { ...request, withReferrers: false }
    expect(seen(await thrownBy(() => copies.copy({ ...all, signal: aborted })))).toMatchObject({
      answer: '409 UNAVAILABLE',
      headers: {},
      message: 'the copy was cancelled',
    })
    expect(seen(await thrownBy(() => copies.copy(all)))).toMatchObject({
      answer: '409 UNAVAILABLE',
      headers: {},
      message: 'the source changed while it was copied; try again',
    })
  })

  test('an undelete of what cannot come back', async () => {
    const options = { ...(parts as object), metadata: storeOf() } as never
    const unknown = await thrownBy(() => new Undelete(options).manifest(repository, digest, 'x'))
    expect(seen(unknown)).toMatchObject({
      answer: '404 MANIFEST_UNKNOWN',
      headers: {},
      detail: { digest },
    })
    const rows = { deletedManifests: { absent: [], row: {} } }
    const gone = { ...(parts as object), metadata: storeOf(rows) } as never
    const conflict = await thrownBy(() => new Undelete(gone).manifest(repository, digest, 'x'))
    expect(seen(conflict)).toMatchObject({ answer: '409 DENIED', headers: {}, detail: { digest } })
  })
})

describe('requests for what may be had', () => {
  const given = (headers: Readonly<Record<string, string>>) =>
    ({
      method: 'GET',
      header: (name: string) => headers[name],
      query: '',
      keepAddress: () => undefined,
    }) as HttpRequest

  test('a range that the blob does not have, and too many of them', async () => {
    const none = {} as never
    const blobs = new BlobHandlers(none, none, none, none, none)
    const answer = { digest, sizeBytes: 10 } as never
    const ask = (range: string) =>
      thrownBy(() => blobs.answerFrom(answer, given({ range }), none, () => {}))
    expect(seen(await ask('bytes=10-'))).toMatchObject({
      answer: '416 BLOB_UPLOAD_INVALID',
      headers: { 'Content-Range': 'bytes */10' },
      detail: { sizeBytes: 10 },
    })
    expect(seen(await ask('bytes=0-,0-'))).toMatchObject({
      answer: '400 BLOB_UPLOAD_INVALID',
      headers: {},
    })
  })

  test('a manifest that If-Match does not name', async () => {
    const none = {} as never
    const manifests = new ManifestHandlers({
      metadata: none,
      answers: none,
      pushes: none,
      deletes: none,
      room: none,
      pulls: none,
      headPromise: none,
      gate: none,
    })
    const request = given({ 'if-match': '"sha256:other"' })
    const error = await thrownBy(() => manifests.answer({ digest } as never, request, {} as never))
    expect(seen(error)).toMatchObject({
      answer: '412 MANIFEST_INVALID',
      headers: {},
      detail: { current: digest },
    })
  })

  test('metrics that are switched off', async () => {
    const service = new ServiceHandlers({ metrics: undefined } as never)
    const error = await thrownBy(() => service.metrics(given({}), {} as never))
    expect(seen(error)).toMatchObject({ answer: '404 UNSUPPORTED', headers: {} })
  })

  test('a token for a wrong password', async () => {
    const handlers = new TokenHandlers({
      authenticator: {
        authenticate: () => {
          throw new CredentialsRefused('wrong-credentials', 'alice')
        },
      },
      onRefused: () => {},
    } as never)
    const request = given({ authorization: 'Basic YTpi' })
    expect(seen(await thrownBy(() => handlers.get(request, {} as never)))).toMatchObject({
      answer: '401 UNAUTHORIZED',
      headers: { 'WWW-Authenticate': 'Basic realm="FastRegistry", charset="UTF-8"' },
      message: 'user name, password or token is wrong',
    })
    const large = { ...request, bodyBytes: 1e9, readBody: async () => {} } as never
    expect(seen(await thrownBy(() => handlers.post(large, {} as never)))).toMatchObject({
      answer: '413 SIZE_INVALID',
      headers: {},
    })
  })
})

describe('a collection', () => {
  const collector = (more: object) =>
    new Collector({ metadata: storeOf(), jobs: { running: () => undefined }, ...more } as never)
  const start = (more: object) =>
    thrownBy(() => collector(more).start({ kind: 'apply', plan: 'p', by: 'x' } as never))
  const clockGuard = { doubt: undefined }
  const folder = mkdtempSync(join(tmpdir(), 'fastregistry-plans-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  /** With one row, which another one takes first. */
  const plansOf = (row: object | undefined) => {
    const metadata = {
      get: () => row,
      keysBackward: () => [],
      commit: async () => ({ applied: false }),
    }
    return new Plans({ metadata, path: folder, clock: systemClock } as never)
  }

  test('while another one runs, with a clock in doubt, and of a plan that is not there', async () => {
    expect(seen(await start({ jobs: { running: () => 'job-1' } }))).toMatchObject({
      answer: '409 UNSUPPORTED',
      headers: {},
      message: 'a collection is running already',
      detail: { job: 'job-1' },
    })
    expect(seen(await start({ clockGuard: { doubt: 'the clock jumped' } }))).toMatchObject({
      answer: '409 UNSUPPORTED',
      headers: {},
      message: 'the clock jumped',
    })
    expect(seen(await start({ clockGuard, plans: plansOf(undefined) }))).toMatchObject({
      answer: '404 UNSUPPORTED',
      headers: {},
      message: 'there is no such plan',
    })
  })

  test('of a plan that is spent or taken', async () => {
    for (const state of ['applied', 'ready']) {
      expect(seen(await start({ clockGuard, plans: plansOf({ state }) }))).toMatchObject({
        answer: '409 UNSUPPORTED',
        headers: {},
        detail: { plan: 'p' },
      })
    }
  })
})

describe('a mirror', () => {
  const failed = (kind: Failure, more: object = {}) =>
    seen(toRegistryError(new UpstreamError(kind, 'why', more), 'hub', 'BLOB_UNKNOWN'))

  test.each(['BLOB_UNKNOWN', 'MANIFEST_UNKNOWN', 'NAME_UNKNOWN'] as const)(
    '%s where upstream does not have or show it',
    (what) => {
      for (const kind of ['missing', 'hidden'] as const) {
        const error = new UpstreamError(kind, 'why', { status: 404, words: 'no' })
        expect(seen(toRegistryError(error, 'hub', what))).toMatchObject({
          answer: `404 ${what}`,
          headers: {},
          detail: { mirror: 'hub', failure: kind, upstreamStatus: 404, upstream: 'no' },
        })
      }
    },
  )

  test('refused by upstream', () => {
    expect(failed('denied')).toMatchObject({ answer: '403 DENIED', headers: {} })
  })

  test.each([405, 406, 413, 414, 451])('upstream’s %i is passed on', (status) => {
    expect(failed('rejected', { status })).toMatchObject({
      answer: `${status} UNSUPPORTED`,
      headers: {},
    })
  })

  test.each(['NAME_INVALID', 'DIGEST_INVALID', 'MANIFEST_INVALID'])(
    'upstream’s %s is passed on',
    (code) => {
      for (const [status, ours] of [
        [400, 400],
        [413, 413],
        [422, 400],
      ]) {
        expect(failed('rejected', { status, code }).answer).toBe(`${ours} ${code}`)
      }
    },
  )

  test.each([undefined, 400, 409, 416, 422])('upstream’s %s is 400', (status) => {
    const more = status === undefined ? {} : { status }
    expect(failed('rejected', { ...more, code: 'TOOMANYREQUESTS' })).toMatchObject({
      answer: '400 UNSUPPORTED',
      headers: {},
    })
  })

  const LATE = ['timeout', 'stall']
  const BAD = 'dns refused reset tls auth limited server garbage redirect circuit'.split(' ')
  test.each([
    ...LATE.map((kind) => [kind, 504] as const),
    ...BAD.map((kind) => [kind, 502] as const),
    ['busy', 503] as const,
  ])('upstream’s %s is %i', (kind, status) => {
    const once = failed(kind as Failure)
    expect(once).toMatchObject({
      answer: `${status} UNAVAILABLE`,
      headers: { 'Retry-After': '1' },
      isLogged: true,
    })
    const later = failed(kind as Failure, { retryAfterMs: 61_500 })
    expect(later.headers).toEqual({ 'Retry-After': '62' })
  })

  test('content in its cooldown', () => {
    expect(seen(tooYoung(digest, 1_500))).toMatchObject({
      answer: '403 DENIED',
      headers: { 'Retry-After': '2' },
      detail: { digest, secondsLeft: 2 },
    })
  })

  test('no list of referrers', () => {
    expect(seen(noReferrers({ name: 'hub' } as never, digest))).toMatchObject({
      answer: '404 UNSUPPORTED',
      headers: {},
      detail: { mirror: 'hub', tag: digest.replace(':', '-') },
    })
  })
})

test('a manifest that a worker refuses is refused in the same words on this side', async () => {
  const texts = [
    { bytes: Buffer.from('{'), contentType, claimed: undefined },
    { bytes, contentType, claimed: digest },
  ]
  for (const text of texts) {
    const verdict = structuredClone(judgeManifest(text))
    const { answer, detail, message } = seen(await thrownBy(() => unpackVerdict(verdict)))
    const code = text.claimed === undefined ? 'MANIFEST_INVALID' : 'DIGEST_INVALID'
    expect(answer).toBe(`400 ${code}`)
    expect(message.length).toBeGreaterThan(5)
    if (text.claimed !== undefined) expect(detail).toMatchObject({ digest })
  }
})
