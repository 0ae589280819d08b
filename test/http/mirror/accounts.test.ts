/**
 * Two mirrors of one registry are one guest there while they come with the same credential: they share
 * limits, breakers and tokens. With two credentials they share nothing, and what they count is their own.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { FAULTS, FaultyUpstream, sendJson } from '../../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess, until } from '../../support/in-process.ts'
import { imageManifest, sha256 } from '../../support/registry-client.ts'

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

const config = { mediaType: 'application/x', digest: sha256('{}'), size: 2 }
const tags = Array.from({ length: 8 }, (_, index) => `v${index}`)

const team = { username: 'team', password: 'hunter2' }
const other = { username: 'other', password: 'hunter3' }

/** Mirrors `a` and `b` of one upstream, each with its credentials and limits. */
async function twoMirrors(
  credentials: readonly [object | undefined, object | undefined],
  limits: readonly [object, object] = [{}, {}],
): Promise<{ upstream: FaultyUpstream; registry: InProcessRegistry }> {
  const upstream = new FaultyUpstream()
  await upstream.start()
  open.push(() => upstream.stop())
  for (const tag of tags) {
    upstream.addManifest('app', tag, imageManifest(config, [], { annotations: { tag } }))
  }
  const mirrors = ['a', 'b'].map((name, index) => ({
    name,
    upstream: upstream.url,
    credentials: credentials[index] === undefined ? [] : [credentials[index]],
    limits: limits[index],
  }))
  const registry = await startInProcess({ engine: 'uws', mirrors })
  open.push(() => dispose(registry))
  return { upstream, registry }
}

const pathOf = (mirror: string, tag: string) => `/v2/${mirror}/app/manifests/${tag}`

/** Long enough for a request that nothing holds back to reach the upstream. */
const moment = () => new Promise((resolve) => setTimeout(resolve, 300))

const SHARED = [
  ['nobody', undefined, undefined],
  ['the same user', team, team],
  ['the same user for other repositories', team, { ...team, prefix: 'app' }],
] as const

const APART = [
  ['two users', team, other],
  ['a user and nobody', team, undefined],
  ['two passwords', team, { ...team, password: 'hunter4' }],
] as const

describe.each(SHARED)('two mirrors that ask as %s', (_who, first, second) => {
  test('have the smaller number of requests under way, together', async () => {
    const limits = [{ connections: 3 }, { connections: 2 }] as const
    const { upstream, registry } = await twoMirrors([first, second], limits)
    let release: () => void = () => undefined
    upstream.hold = new Promise((resolve) => {
      release = resolve
    })
    const pulls = tags.map((tag, index) =>
      registry.client.get(pathOf(index % 2 === 0 ? 'a' : 'b', tag)),
    )
    await until(() => upstream.asked.length === 2)
    await moment()
    expect(upstream.asked).toHaveLength(2)
    release()
    for (const { status } of await Promise.all(pulls)) expect(status).toBe(200)
  })

  test('keep the smaller rate, together', async () => {
    const limits = [{ requests_per_second: 1 }, {}] as const
    const { registry } = await twoMirrors([first, second], limits)
    const started = performance.now()
    const pulls = ['a', 'b', 'b'].map((mirror, index) =>
      registry.client.get(pathOf(mirror, tags[index]!)),
    )
    for (const { status } of await Promise.all(pulls)) expect(status).toBe(200)
    // One is saved up; the others have a second each.
    expect(performance.now() - started).toBeGreaterThan(1_500)
  })

  test('leave alone a host that failed either of them', async () => {
    const { upstream, registry } = await twoMirrors([first, second])
    upstream.fault = FAULTS.broken
    for (const tag of ['v0', 'v1']) await registry.client.get(pathOf('a', tag))
    const before = upstream.asked.length
    expect((await registry.client.get(pathOf('b', 'v2'))).status).toBe(502)
    expect(upstream.asked).toHaveLength(before)
  })

  test('fetch one token', async () => {
    const { upstream, registry } = await twoMirrors([first, second])
    askForTokens(upstream)
    expect((await registry.client.get(pathOf('a', 'v0'))).status).toBe(200)
    expect((await registry.client.get(pathOf('b', 'v1'))).status).toBe(200)
    expect(upstream.count('GET', '/token')).toBe(1)
  })
})

describe.each(APART)('two mirrors that ask as %s', (_who, first, second) => {
  test.each([
    [3, 2],
    [2, 3],
  ])('have their own requests under way, %i and %i', async (ofFirst, ofSecond) => {
    const limits = [{ connections: ofFirst }, { connections: ofSecond }] as const
    const { upstream, registry } = await twoMirrors([first, second], limits)
    let release: () => void = () => undefined
    upstream.hold = new Promise((resolve) => {
      release = resolve
    })
    const pulls = tags.map((tag, index) =>
      registry.client.get(pathOf(index % 2 === 0 ? 'a' : 'b', tag)),
    )
    await until(() => upstream.asked.length === 5)
    await moment()
    expect(upstream.asked).toHaveLength(5)
    release()
    for (const { status } of await Promise.all(pulls)) expect(status).toBe(200)
  })

  test('do not hear of each other’s failures', async () => {
    const { upstream, registry } = await twoMirrors([first, second])
    upstream.fault = FAULTS.broken
    for (const tag of ['v0', 'v1']) await registry.client.get(pathOf('a', tag))
    upstream.fault = undefined
    expect((await registry.client.get(pathOf('b', 'v2'))).status).toBe(200)
  })

  test('have a token each', async () => {
    const { upstream, registry } = await twoMirrors([first, second])
    askForTokens(upstream)
    expect((await registry.client.get(pathOf('a', 'v0'))).status).toBe(200)
    expect((await registry.client.get(pathOf('b', 'v1'))).status).toBe(200)
    expect(upstream.count('GET', '/token')).toBe(2)
  })
})

test('one mirror with two credentials has the requests of each under way', async () => {
  const upstream = new FaultyUpstream()
  await upstream.start()
  open.push(() => upstream.stop())
  const mirror = {
    name: 'a',
    upstream: upstream.url,
    credentials: [
      { ...team, prefix: 'one' },
      { ...other, prefix: 'two' },
    ],
    limits: { connections: 1 },
  }
  const registry = await startInProcess({ engine: 'uws', mirrors: [mirror] })
  open.push(() => dispose(registry))
  let release: () => void = () => undefined
  upstream.hold = new Promise((resolve) => {
    release = resolve
  })
  const pulls = ['one', 'two', 'three'].map((repository) =>
    registry.client.get(`/v2/a/${repository}/app/manifests/v1`),
  )
  await moment()
  const asked = upstream.asked.length
  release()
  await Promise.all(pulls)
  expect(asked).toBe(3)
})

test('two mirrors that share a host both say how it stands, and each what it has counted itself', async () => {
  const { upstream, registry } = await twoMirrors([team, team])
  upstream.fault = FAULTS.broken
  for (const tag of ['v0', 'v1']) await registry.client.get(pathOf('a', tag))
  const { json } = await registry.client.get('/admin/mirrors')
  const { host } = new URL(upstream.url)
  const [a, b] = (json as { mirrors: readonly Record<string, unknown>[] }).mirrors
  expect(a).toMatchObject({ name: 'a', breakers: [{ host, state: 'open' }] })
  expect(b).toMatchObject({ name: 'b', breakers: [{ host, state: 'open' }] })
  // What each has asked and heard is its own.
  expect(a!['getRequests']).toBe(4)
  expect(b).toMatchObject({ getRequests: 0, misses: 0, failures: { server: 0, circuit: 0 } })
})

/** Makes the upstream want a token of itself before it answers. */
function askForTokens(upstream: FaultyUpstream): void {
  upstream.fault = (request, response) => {
    if (request.url?.startsWith('/token') === true) {
      response.writeHead(200, { 'Content-Type': 'application/json' })
      response.end(JSON.stringify({ token: 'good', expires_in: 300 }))
      return true
    }
    if (request.headers.authorization === 'Bearer good') return false
    const challenge = `Bearer realm="${upstream.url}/token",service="reg"`
    sendJson(response, 401, 'UNAUTHORIZED', 'token needed', { 'WWW-Authenticate': challenge })
    return true
  }
}
