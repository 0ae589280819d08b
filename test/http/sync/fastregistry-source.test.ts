/**
 * @module A FastRegistry as a source, by its history: real ones. A registry that copies is stopped meanwhile, and
 * its store is opened by the test.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import type { SyncSourceConfig } from '../../../src/config/config.ts'
import { Jobs } from '../../../src/jobs/jobs.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { openStorage } from '../../../src/storage/open.ts'
import type { Changes } from '../../../src/sync/port.ts'
import { Prune } from '../../../src/sync/prune/prune.ts'
import { isEchoOf } from '../../../src/sync/sources/echo.ts'
import { FastRegistrySource } from '../../../src/sync/sources/fastregistry.ts'
import type { Credential } from '../../../src/upstream/tokens.ts'
import { basic, htpasswd } from '../../support/access.ts'
import type { Fault } from '../../support/faulty-upstream.ts'
import { FaultyUpstream } from '../../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'
import { asDigest, asName, asTag, imageManifest, sha256 } from '../../support/registry-client.ts'
import { openCopyScene, tagCopy } from '../../support/sync-copy.ts'
import { openUpstream, userOf } from '../../support/upstream-client.ts'
import { load } from '../../unit/config/load-text.ts'

const open: (() => Promise<unknown>)[] = []
const { signal } = new AbortController()
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

async function registryOf(config: Record<string, unknown> = {}): Promise<InProcessRegistry> {
  const registry = await startInProcess({ engine: 'node', config })
  open.push(() => dispose(registry))
  return registry
}

const urlOf = (registry: InProcessRegistry) => `http://127.0.0.1:${registry.port}`
const type = 'application/vnd.oci.image.manifest.v1+json'

function image(mark: string, subject?: string): string {
  const of = (mediaType: string, digest: string, size = 2) => ({ mediaType, digest, size })
  const config = of('application/vnd.oci.image.config.v1+json', sha256('{}'))
  const more = subject === undefined ? {} : { subject: of(type, subject, image('one').length) }
  return JSON.stringify(imageManifest(config, [], { annotations: { mark }, ...more }))
}

/** Pushes an image by a tag, or by its digest; its digest. */
async function push(
  registry: InProcessRegistry,
  name: string,
  tag: string,
  bytes: string,
  as = {},
) {
  const url = urlOf(registry)
  const headers = { ...as, 'Content-Type': 'application/octet-stream' }
  const digest = sha256(bytes)
  await fetch(`${url}/v2/${name}/blobs/uploads/?digest=${sha256('{}')}`, {
    method: 'POST',
    body: '{}',
    headers,
  })
  const put = await fetch(`${url}/v2/${name}/manifests/${tag === '' ? digest : tag}`, {
    method: 'PUT',
    body: bytes,
    headers: { ...as, 'Content-Type': type },
  })
  expect(put.status).toBe(201)
  return digest
}

async function remove(registry: InProcessRegistry, path: string) {
  const answer = await fetch(`${urlOf(registry)}/v2/${path}`, { method: 'DELETE' })
  expect(answer.status).toBe(202)
}

async function digestAt(registry: InProcessRegistry, name: string, tag: string) {
  const head = await fetch(`${urlOf(registry)}/v2/${name}/manifests/${tag}`, { method: 'HEAD' })
  return head.headers.get('docker-content-digest') ?? undefined
}

async function sourceOf(url: string, isEcho = () => false): Promise<FastRegistrySource> {
  const { upstream, close } = await openUpstream(url)
  open.push(close)
  return new FastRegistrySource({
    upstream,
    clock: systemClock,
    credential: undefined,
    repositories: undefined,
    isEcho,
  })
}

async function cursorOf(source: FastRegistrySource): Promise<string> {
  const first = await source.changes(undefined, signal)
  expect(first).toMatchObject({ kind: 'full-pass' })
  return first.cursor!
}

/** Names of what changed. */
function shown(changes: Changes) {
  if (changes.kind !== 'changes') return changes
  return changes.repositories.map(({ name, tags, deleted, subjects, removed, isWhole }) => ({
    name,
    tags: [...tags.keys()],
    deleted: [...deleted],
    subjects: [...subjects],
    removed: [...removed],
    isWhole,
  }))
}

const nothing = { tags: [], deleted: [], subjects: [], removed: [], isWhole: false }

test('tells pushes, moves and deletions since a cursor, each tag once as it is now', async () => {
  const peer = await registryOf()
  const source = await sourceOf(urlOf(peer))
  await push(peer, 'a', 'old', image('one'))
  const cursor = await cursorOf(source)
  expect(shown(await source.changes(cursor, signal))).toEqual([])
  const subject = await push(peer, 'a', 'v1', image('one'))
  await push(peer, 'a', 'v1', image('two'))
  await push(peer, 'a', 'v2', image('one'))
  await push(peer, 'b', 'x', image('one'))
  await remove(peer, 'a/manifests/v2')
  const some = await source.changes(cursor, signal)
  expect(shown(some)).toEqual([
    { ...nothing, name: 'a', tags: ['v1'], deleted: ['v2'] },
    { ...nothing, name: 'b', tags: ['x'] },
  ])
  // What is attached, and a part of an index, which is attached to nothing.
  await push(peer, 'a', '', image('signature', subject))
  await push(peer, 'a', '', image('part'))
  await push(peer, 'a', `${subject.replace(':', '-')}.sig`, image('old style'))
  await remove(peer, `b/manifests/${subject}`)
  await push(peer, 'a', 'v2', image('one'))
  const next = await source.changes(some.cursor, signal)
  expect(shown(next)).toEqual([
    { ...nothing, name: 'a', tags: ['v2'], subjects: [subject] },
    { ...nothing, name: 'b', removed: [subject], isWhole: true },
  ])
})

test('asks for a full pass when the events are gone, or were never given', async () => {
  const peer = await registryOf()
  const source = await sourceOf(urlOf(peer))
  const cursor = await cursorOf(source)
  for (const mark of ['one', 'two', 'three']) await push(peer, 'a', mark, image(mark))
  expect(await source.changes('99999', signal)).toMatchObject({ kind: 'full-pass' })
  await peer.stop()
  const { metadata, close } = await openStorage({
    path: peer.folder,
    cacheBytes: 64 * 1024 * 1024,
    durability: 'full',
    reader: 'auto',
    ingestThreads: 1,
    reserveBytes: 0,
    clock: systemClock,
    onQuarantined: () => undefined,
  })
  const keys = metadata.keys('events', [], undefined, 2)
  await metadata.commit({
    checks: [],
    changes: keys.map((key) => ({ change: 'delete', in: 'events', key })),
  })
  await close()
  await peer.start()
  const again = await sourceOf(urlOf(peer))
  const late = await again.changes(cursor, signal)
  expect(late).toMatchObject({ kind: 'full-pass', message: expect.stringContaining('far enough') })
  await push(peer, 'a', 'four', image('four'))
  expect(shown(await again.changes(late.cursor, signal))).toEqual([
    { ...nothing, name: 'a', tags: ['four'] },
  ])
})

test.each([401, 403, 404])(
  'runs by full passes where the history is not shown (%i)',
  async (status) => {
    const upstream = new FaultyUpstream()
    await upstream.start()
    open.push(() => upstream.stop())
    const fault: Fault = (_request, response) => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end('{}')
      return true
    }
    upstream.fault = fault
    const source = await sourceOf(upstream.url)
    for (const cursor of [undefined, '7']) {
      const changes = await source.changes(cursor, signal)
      expect(changes).toMatchObject({ kind: 'full-pass', cursor: undefined })
    }
  },
)

test.each([
  ['goes back', { events: [], last: 3 }],
  ['stands still', { events: [], last: 7, next: 7 }],
  ['has no order', { events: [] }],
  ['sends more than it was asked for', { events: Array(1_001).fill({}), last: 1_008 }],
])('believes no history that %s', async (_what, body) => {
  const upstream = new FaultyUpstream()
  await upstream.start()
  open.push(() => upstream.stop())
  upstream.fault = (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
    return true
  }
  const source = await sourceOf(upstream.url)
  await expect(source.changes('7', signal)).rejects.toMatchObject({ kind: 'garbage' })
})

/** A registry that follows another one by its history, a look at a time. */
class Follower {
  readonly registry: InProcessRegistry
  readonly source: string
  #cursor: string | undefined

  constructor(registry: InProcessRegistry, source: string) {
    this.registry = registry
    this.source = source
  }

  /** What was looked at, by what came of it. */
  async follow(from: InProcessRegistry): Promise<string[]> {
    const { registry, source: name } = this
    await registry.stop()
    const by = `sync:${name}`
    const scene = await openCopyScene(
      { url: urlOf(from) },
      { source: name, by },
      undefined,
      registry.folder,
    )
    const seen: string[] = []
    try {
      const mapping = { strip: '', destination: '' }
      const { metadata, journal, upstream } = scene
      const source = new FastRegistrySource({
        upstream,
        clock: systemClock,
        credential: undefined,
        repositories: undefined,
        isEcho: (event) => isEchoOf({ metadata, mapping, source: name }, event),
      })
      const changes = await source.changes(this.#cursor ?? '0', signal)
      if (changes.kind !== 'changes') throw new Error(changes.message)
      this.#cursor = changes.cursor
      const config = await configOf(name)
      const { tagLocks, protection } = scene.parts
      const prune = new Prune({
        metadata,
        journal,
        tagLocks,
        protection,
        clock: systemClock,
        jobs: new Jobs(metadata, systemClock),
        sourceOf: () => config,
        upstreamOf: () => source,
      })
      for (const { name: repository, tags, deleted } of changes.repositories) {
        for (const tag of tags.keys()) {
          const listed = await source.tag(repository, tag, signal)
          if (listed?.digest === undefined) continue
          const local = asName(repository)
          const some = { repository, local, tag: asTag(tag) }
          const { outcome } = await scene.copier.copy(tagCopy(asDigest(listed.digest), some))
          seen.push(`${tag} ${outcome}`)
        }
        const gone = [...deleted].map((tag) => ({ repository, tag }))
        const counts = await prune.afterDeletions(config, gone, signal)
        if (counts.deleted > 0) seen.push(`${gone.map(({ tag }) => tag).join()} deleted`)
      }
      await journal.flush()
    } finally {
      await scene.close()
      await registry.start()
    }
    return seen
  }
}

async function configOf(name: string): Promise<SyncSourceConfig> {
  const keys = `name: ${name}, type: fastregistry, url: "https://a.test", organizations: ["*"], prune: { enabled: true }`
  return (await load(`sync:\n  sources:\n    - { ${keys} }\n`)).sync.sources[0]!
}

test('two registries that follow each other come to rest, and undo nothing', async () => {
  const one = await registryOf()
  const two = await registryOf()
  const first = new Follower(one, 'two')
  const second = new Follower(two, 'one')
  await push(one, 'a', 'v1', image('one'))
  await push(one, 'a', 'v2', image('one'))
  await push(two, 'a', 'w1', image('two'))
  expect(await second.follow(one)).toEqual(['v1 copied', 'v2 copied'])
  // What came from here is not looked at.
  expect(await first.follow(two)).toEqual(['w1 copied'])
  expect(await second.follow(one)).toEqual([])
  expect(await first.follow(two)).toEqual([])
  // The other one still has what was moved and deleted here: it does not come back.
  await push(two, 'a', 'w2', image('two'))
  await push(one, 'a', 'v1', image('three'))
  await remove(one, 'a/manifests/v2')
  expect(await first.follow(two)).toEqual(['w2 copied'])
  expect(await digestAt(one, 'a', 'v2')).toBeUndefined()
  expect(await second.follow(one)).toEqual(['v1 copied', 'v2 deleted'])
  expect(await first.follow(two)).toEqual([])
  expect(await second.follow(one)).toEqual([])
  for (const registry of [one, two]) {
    expect(await digestAt(registry, 'a', 'v1')).toBe(sha256(image('three')))
    expect(await digestAt(registry, 'a', 'w1')).toBe(sha256(image('two')))
    expect(await digestAt(registry, 'a', 'v2')).toBeUndefined()
  }
})

test('what a peer has from elsewhere goes on down the chain, back to an earlier image too', async () => {
  const [top, middle, bottom] = [await registryOf(), await registryOf(), await registryOf()]
  const upper = new Follower(middle, 'top')
  const lower = new Follower(bottom, 'middle')
  for (const mark of ['one', 'two', 'one']) {
    await push(top, 'a', 'v1', image(mark))
    expect(await upper.follow(top)).toEqual(['v1 copied'])
    expect(await lower.follow(middle)).toEqual(['v1 copied'])
    expect(await digestAt(bottom, 'a', 'v1')).toBe(sha256(image(mark)))
  }
  await remove(top, 'a/manifests/v1')
  expect(await upper.follow(top)).toEqual(['v1 deleted'])
  expect(await lower.follow(middle)).toEqual(['v1 deleted'])
  expect(await digestAt(bottom, 'a', 'v1')).toBeUndefined()
  expect(await lower.follow(middle)).toEqual([])
})

const anybody = { repositories: ['public/**'], anonymous: true, actions: ['pull', 'list'] }

test.each([
  ['alone', []],
  ['beside what everybody may see', [anybody]],
])('shows an account what it may see, %s', async (_what, more) => {
  const folder = await mkdtemp(join(tmpdir(), 'fastregistry-users-'))
  open.push(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'users')
  await writeFile(file, htpasswd({ root: 'secret', reader: 'secret' }))
  const peer = await registryOf({
    auth: { type: 'htpasswd', htpasswd_file: file },
    access: [
      { repositories: ['**'], users: ['root'], actions: ['pull', 'push', 'list', 'admin'] },
      { repositories: ['team/**'], users: ['reader'], actions: ['pull', 'list'] },
      ...more,
    ],
  })
  const of = async (credential: Credential | undefined) => {
    const credentials = credential === undefined ? [] : [credential]
    const { upstream, close } = await openUpstream(urlOf(peer), { credentials })
    open.push(close)
    const options = { upstream, clock: systemClock, credential, repositories: undefined }
    return new FastRegistrySource({ ...options, isEcho: () => false })
  }
  const reader = await of(userOf('reader', 'secret'))
  const cursor = await cursorOf(reader)
  const root = basic('root', 'secret')
  await push(peer, 'team/a', 'v1', image('one'), root)
  await push(peer, 'other/b', 'v1', image('one'), root)
  expect(shown(await reader.changes(cursor, signal))).toEqual([
    { ...nothing, name: 'team/a', tags: ['v1'] },
  ])
  const wrong = await of(userOf('reader', 'wrong'))
  expect(await wrong.changes(cursor, signal)).toMatchObject({
    kind: 'full-pass',
    cursor: undefined,
  })
  await push(peer, 'public/c', 'v1', image('one'), root)
  const nobody = await (await of(undefined)).changes(cursor, signal)
  if (more.length === 0) expect(nobody).toMatchObject({ kind: 'full-pass', cursor: undefined })
  else expect(shown(nobody)).toEqual([{ ...nothing, name: 'public/c', tags: ['v1'] }])
})
