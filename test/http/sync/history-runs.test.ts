/**
 * @module Registries of this program that copy from each other by their histories, in whole runs: a chain, a loop in
 * which both sides overwrite, deletions, a history that was cut, and a stop in the middle.
 */
import { type AddressInfo, connect, createServer } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../../src/runtime/clock.ts'
import { openStorage } from '../../../src/storage/open.ts'
import { dispose, type InProcessRegistry, startInProcess, until } from '../../support/in-process.ts'
import { imageManifest, sha256 } from '../../support/registry-client.ts'

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

/** A registry at an address that stays, so that others can name it before it runs. */
class Node {
  registry!: InProcessRegistry
  readonly #relay = createServer((from) => {
    const to = connect(this.registry.port, '127.0.0.1')
    from.pipe(to).pipe(from)
    from.on('error', () => to.destroy())
    to.on('error', () => from.destroy())
  })
  #url: string | undefined

  async url(): Promise<string> {
    if (this.#url !== undefined) return this.#url
    await new Promise<void>((resolve) => this.#relay.listen(0, '127.0.0.1', resolve))
    open.push(async () => void this.#relay.close())
    const { port } = this.#relay.address() as AddressInfo
    this.#url = `http://127.0.0.1:${port}`
    return this.#url
  }

  async start(from: readonly Node[] = [], more: Record<string, unknown> = {}): Promise<this> {
    const urls = await Promise.all(from.map((node) => node.url()))
    const sources = urls.map((url, at) => ({
      name: `from${at}`,
      type: 'fastregistry',
      url,
      organizations: ['team'],
      mode: 'manual',
      ...more,
    }))
    const config = sources.length === 0 ? {} : { sync: { sources } }
    this.registry = await startInProcess({ engine: 'node', config })
    open.push(() => dispose(this.registry))
    return this
  }

  async run(request: { isFull?: boolean } = {}, name = 'from0') {
    const { syncs } = this.registry
    const started = await syncs.trigger(name, { by: 'test', ...request })
    if (started.kind !== 'started') throw new Error(started.kind)
    await started.ended
    return syncs.status(name)!
  }

  /** A tag of an image that has nothing but this mark. */
  async push(path: string, tag: string, mark: string, subject?: object): Promise<string> {
    const { client } = this.registry
    await client.request('POST', `/v2/${path}/blobs/uploads/?digest=${sha256('{}')}`, {
      body: Buffer.from('{}'),
      headers: { 'Content-Type': 'application/octet-stream' },
    })
    const type = 'application/vnd.oci.image.manifest.v1+json'
    const of = (mediaType: string, digest: string) => ({ mediaType, digest, size: 2 })
    const config = of('application/vnd.oci.image.config.v1+json', sha256('{}'))
    const more = { annotations: { mark }, ...(subject === undefined ? {} : { subject }) }
    const body = Buffer.from(JSON.stringify(imageManifest(config, [], more)))
    const reference = tag === '' ? sha256(body) : tag
    const put = { body, headers: { 'Content-Type': type } }
    const answer = await client.request('PUT', `/v2/${path}/manifests/${reference}`, put)
    expect(answer.status).toBe(201)
    return sha256(body)
  }

  async delete(path: string): Promise<void> {
    expect((await this.registry.client.delete(`/v2/${path}`)).status).toBe(202)
  }

  async digest(path: string, reference: string): Promise<string | undefined> {
    const answer = await this.registry.client.head(`/v2/${path}/manifests/${reference}`)
    return answer.status === 200 ? String(answer.headers['docker-content-digest']) : undefined
  }
}

test('a chain follows what changed, and nothing else is looked at', async () => {
  const top = await new Node().start()
  await top.push('team/app', 'v1', 'one')
  await top.push('team/tool', 'v1', 'one')
  const middle = await new Node().start([top])
  const bottom = await new Node().start([middle])
  for (const node of [middle, bottom]) {
    expect(await node.run()).toMatchObject({ lastResult: 'ok', counts: { copied: 2 } })
    expect(await node.run()).toMatchObject({
      lastResult: 'ok',
      progress: { totalRepositories: 0, totalTags: 0 },
    })
  }
  const image = await top.push('team/app', 'v1', 'two')
  const size = 400
  const subject = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: image, size }
  const nothing = { progress: { totalRepositories: 1 } }
  for (const node of [middle, bottom]) {
    expect(await node.run()).toMatchObject({ lastResult: 'ok', counts: { copied: 1 }, ...nothing })
    expect(await node.digest('team/app', 'v1')).toBe(image)
  }
  const signature = await top.push('team/app', '', 'signature', subject)
  for (const node of [middle, bottom]) {
    const { lastResult, counts } = await node.run()
    expect(lastResult).toBe('ok')
    expect(counts.referrers_updated).toBe(1)
    expect(await node.digest('team/app', signature)).toBe(signature)
  }
})

test('a loop in which both sides overwrite undoes no push, and comes to rest', async () => {
  const [one, two] = await loop({ overwrite: true })
  const rest = async () => {
    for (const node of [one, two]) {
      expect(await node.run()).toMatchObject({ lastResult: 'ok', counts: { copied: 0 } })
    }
  }
  await one.push('team/app', 'v1', 'one')
  const fromTwo = await two.push('team/app', 'w1', 'two')
  await two.run()
  await one.run()
  expect(await one.digest('team/app', 'w1')).toBe(fromTwo)
  await rest()
  // The other side has the image before still: neither its history nor a full pass brings that back.
  const second = await one.push('team/app', 'v1', 'second')
  await one.run()
  const { counts } = await one.run({ isFull: true })
  expect(counts).toMatchObject({ kept: 1, conflict: 0, copied: 0 })
  expect(await one.digest('team/app', 'v1')).toBe(second)
  await two.run()
  expect(await two.digest('team/app', 'v1')).toBe(second)
  await rest()
  // A push at the other side is the later one, even back to an image that was here before.
  const third = await two.push('team/app', 'v1', 'one')
  await one.run()
  await two.run()
  for (const node of [one, two]) expect(await node.digest('team/app', 'v1')).toBe(third)
  await rest()
  for (const node of [one, two]) {
    expect(await node.run({ isFull: true })).toMatchObject({
      lastResult: 'ok',
      counts: { copied: 0 },
    })
  }
  await rest()
})

test('pushes at both sides at once end as one of the two, on both sides', async () => {
  const [one, two] = await loop({ overwrite: true })
  await one.push('team/app', 'v1', 'one')
  await two.run()
  await one.run()
  await one.push('team/app', 'v1', 'here')
  await two.push('team/app', 'v1', 'there')
  for (let round = 0; round < 2; round += 1) for (const node of [one, two]) await node.run()
  expect(await one.digest('team/app', 'v1')).toBe(await two.digest('team/app', 'v1'))
  for (const node of [one, two]) expect(await node.run()).toMatchObject({ counts: { copied: 0 } })
})

test('a push here stands although the other side was set to something else before it took the one before', async () => {
  const [one, two] = await loop({ overwrite: true })
  await one.push('team/app', 'v1', 'zero')
  await two.run()
  await one.run()
  await two.push('team/app', 'v1', 'first')
  await one.push('team/app', 'v1', 'second')
  await two.run()
  // The other side tells of its own push, and then of the second one, which came from here.
  const third = await one.push('team/app', 'v1', 'third')
  expect(await one.run()).toMatchObject({ lastResult: 'ok', progress: { totalTags: 0 } })
  expect(await one.digest('team/app', 'v1')).toBe(third)
  await two.run()
  expect(await two.digest('team/app', 'v1')).toBe(third)
})

test('deletions are followed with prune alone', async () => {
  const top = await new Node().start()
  for (const tag of ['v1', 'v2', 'v3']) await top.push('team/app', tag, tag)
  const kept = await new Node().start([top])
  const pruned = await new Node().start([top], { prune: { enabled: true } })
  for (const node of [kept, pruned]) await node.run()
  await top.delete('team/app/manifests/v1')
  await top.delete(`team/app/manifests/${await top.digest('team/app', 'v2')}`)
  expect(await kept.run()).toMatchObject({ lastResult: 'ok', counts: { gone: 2, pruned: 0 } })
  expect(await kept.digest('team/app', 'v1')).toBeDefined()
  expect(await pruned.run()).toMatchObject({ lastResult: 'ok', counts: { pruned: 2 } })
  expect(await pruned.digest('team/app', 'v1')).toBeUndefined()
  expect(await pruned.digest('team/app', 'v2')).toBeUndefined()
  expect(await pruned.digest('team/app', 'v3')).toBeDefined()
  // It comes again where it is pushed again.
  const again = await top.push('team/app', 'v1', 'again')
  for (const node of [kept, pruned]) {
    expect(await node.run()).toMatchObject({ lastResult: 'ok', counts: { copied: 1 } })
    expect(await node.digest('team/app', 'v1')).toBe(again)
  }
})

test('a repository that is deleted there is no failure, and stays here until a full pass has a plan', async () => {
  const top = await new Node().start()
  for (const path of ['team/app', 'team/tool']) await top.push(path, 'v1', 'one')
  const node = await new Node().start([top], { prune: { enabled: true } })
  await node.run()
  const { client } = top.registry
  await client.delete('/admin/repositories/team/tool')
  await until(async () => (await client.get('/v2/team/tool/tags/list')).status === 404)
  expect(await node.run()).toMatchObject({ lastResult: 'ok', counts: { gone: 1, pruned: 0 } })
  expect(await node.digest('team/tool', 'v1')).toBeDefined()
  // What is missed there now waits for two full passes, as anywhere.
  await top.push('team/tool', 'v2', 'two')
  expect(await node.run()).toMatchObject({ lastResult: 'ok', counts: { copied: 1 } })
  expect(await node.run({ isFull: true })).toMatchObject({ lastResult: 'ok' })
})

test('a history that was cut lets everything be listed once', async () => {
  const top = await new Node().start()
  await top.push('team/app', 'v1', 'one')
  const node = await new Node().start([top])
  await node.run()
  const two = await top.push('team/app', 'v2', 'two')
  await top.push('team/app', 'v3', 'three')
  await top.registry.stop()
  await cutHistory(top.registry.folder)
  await top.registry.start()
  const cut = await node.run()
  expect(cut).toMatchObject({ lastResult: 'ok', counts: { copied: 2 } })
  expect(cut.message).toContain('far enough')
  expect(await node.digest('team/app', 'v2')).toBe(two)
  expect(await node.run()).toMatchObject({ progress: { totalTags: 0 } })
})

test('a stop between what is told and what is kept loses nothing', async () => {
  const top = await new Node().start()
  await top.push('team/app', 'v0', 'zero')
  const node = await new Node().start([top], { concurrency: 1 })
  await node.run()
  const tags = Array.from({ length: 20 }, (_, number) => `v${number + 1}`)
  for (const tag of tags) await top.push('team/app', tag, tag)
  const { syncs } = node.registry
  await syncs.trigger('from0', { by: 'test' })
  await until(() => syncs.status('from0')!.counts.copied >= 3)
  await node.registry.restart()
  await until(() => node.registry.syncs.status('from0')!.lastResult === 'ok')
  for (const tag of tags) {
    expect(await node.digest('team/app', tag)).toBe(await top.digest('team/app', tag))
  }
  expect(node.registry.faults).toEqual([])
})

async function loop(more: Record<string, unknown>): Promise<readonly [Node, Node]> {
  const one = new Node()
  const two = new Node()
  await one.start([two], more)
  await two.start([one], more)
  return [one, two]
}

/** Takes the oldest events away, as their bound does. */
async function cutHistory(path: string): Promise<void> {
  const { metadata, close } = await openStorage({
    path,
    cacheBytes: 64 * 1024 * 1024,
    durability: 'full',
    reader: 'auto',
    ingestThreads: 1,
    reserveBytes: 0,
    clock: systemClock,
    onQuarantined: () => undefined,
  })
  const keys = metadata.keys('events', [], undefined, 6)
  await metadata.commit({
    checks: [],
    changes: keys.map((key) => ({ change: 'delete', in: 'events', key })),
  })
  await close()
}
