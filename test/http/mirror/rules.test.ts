/**
 * The rules of mirrors: how fresh tags are, what upstream deletes, cooldown, credentials and where
 * they go, allow and deny, space, warming, purging.
 */

import { createServer, type Server } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { FaultyUpstream, sendJson } from '../../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess, until } from '../../support/in-process.ts'
import { fetchRaw } from '../../support/raw-http.ts'
import {
  imageIndex,
  imageManifest,
  refusal,
  sha256,
  someBytes,
} from '../../support/registry-client.ts'

const open: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

async function makeUpstream(): Promise<FaultyUpstream> {
  const upstream = new FaultyUpstream()
  await upstream.start()
  open.push(() => upstream.stop())
  return upstream
}

async function mirrorOf(
  upstream: FaultyUpstream,
  settings: Readonly<Record<string, unknown>> = {},
  config = {},
): Promise<InProcessRegistry> {
  const registry = await startInProcess({
    engine: 'uws',
    config,
    mirrors: [{ name: 'hub', upstream: upstream.url, ...settings }],
  })
  open.push(() => dispose(registry))
  return registry
}

function manifestOf(seed: string): string {
  const config = { mediaType: 'application/x', digest: sha256('{}'), size: 2 }
  return JSON.stringify(imageManifest(config, [], { annotations: { seed } }))
}

const tag = (name: string) => `/v2/hub/app/manifests/${name}`

describe('freshness', () => {
  test('a fresh tag is not asked for, an expired one once for all, by HEAD', async () => {
    const upstream = await makeUpstream()
    upstream.addManifest('app', 'v1', manifestOf('a'))
    upstream.addManifest('app', 'edge', manifestOf('a'))
    const registry = await mirrorOf(upstream, {
      tags: [{ pattern: 'edge', freshness: 'always' }],
    })
    await registry.client.get(tag('v1'))
    await registry.client.get(tag('edge'))
    const before = upstream.asked.length
    for (let count = 0; count < 5; count += 1) await registry.client.get(tag('v1'))
    expect(upstream.asked.length).toBe(before)
    // Upstream answers when all ten are in: a connection that came after theirs has its answer.
    let answer!: () => void
    upstream.hold = new Promise((resolve) => {
      answer = resolve
    })
    const all = Array.from({ length: 10 }, () => registry.client.get(tag('edge')))
    await fetchRaw(registry.port, 'GET', '/v2/')
    answer()
    await Promise.all(all)
    const asked = upstream.asked.slice(before)
    expect(asked.map(({ method }) => method)).toEqual(['HEAD'])
    expect(asked[0]!.headers['if-none-match']).toBe(`"${sha256(manifestOf('a'))}"`)
  })

  test('a tag that moved upstream moves here, and both digests stay', async () => {
    const upstream = await makeUpstream()
    upstream.addManifest('app', 'edge', manifestOf('a'))
    const registry = await mirrorOf(upstream, { cache_ttl: '0s' })
    expect((await registry.client.get(tag('edge'))).text).toBe(manifestOf('a'))
    upstream.addManifest('app', 'edge', manifestOf('b'))
    expect((await registry.client.get(tag('edge'))).text).toBe(manifestOf('b'))
    await upstream.stop()
    expect((await registry.client.get(tag('edge'))).text).toBe(manifestOf('b'))
    expect((await registry.client.get(tag(sha256(manifestOf('a'))))).text).toBe(manifestOf('a'))
  })

  test('a tag that containerd asked for by HEAD and digest is there by name when upstream is down', async () => {
    const upstream = await makeUpstream()
    const digest = upstream.addManifest('app', 'v1', manifestOf('a'))
    const registry = await mirrorOf(upstream)
    expect((await registry.client.head(tag('v1'))).headers['docker-content-digest']).toBe(digest)
    expect((await registry.client.get(tag(digest))).text).toBe(manifestOf('a'))
    await upstream.stop()
    expect((await registry.client.get(tag('v1'))).text).toBe(manifestOf('a'))
  })

  test('an immutable tag is never asked for again, also after a restart', async () => {
    const upstream = await makeUpstream()
    upstream.addManifest('app', 'v1', manifestOf('a'))
    const registry = await mirrorOf(upstream, {
      cache_ttl: '0s',
      tags: [{ pattern: 'v*', freshness: 'immutable' }],
    })
    await registry.client.get(tag('v1'))
    await registry.restart()
    const before = upstream.asked.length
    expect((await registry.client.get(tag('v1'))).text).toBe(manifestOf('a'))
    expect(upstream.asked.length).toBe(before)
  })

  test.each([
    ['serve', 200],
    ['hide', 404],
  ])('a tag that upstream deleted: %s', async (on_upstream_delete, status) => {
    const upstream = await makeUpstream()
    upstream.addManifest('app', 'v1', manifestOf('a'))
    const registry = await mirrorOf(upstream, { cache_ttl: '0s', on_upstream_delete })
    await registry.client.get(tag('v1'))
    upstream.removeTag('app', 'v1')
    for (let count = 0; count < 2; count += 1) {
      const answer = await registry.client.get(tag('v1'))
      expect(answer.status).toBe(status)
      if (status === 200) expect(answer.headers['warning']).toContain('deleted')
    }
  })

  test('a tag older than stale_for is not answered while upstream is down', async () => {
    const upstream = await makeUpstream()
    upstream.addManifest('app', 'v1', manifestOf('a'))
    const registry = await mirrorOf(upstream, { cache_ttl: '0s', stale_for: '0s' })
    await registry.client.get(tag('v1'))
    await upstream.stop()
    expect(refusal(await registry.client.get(tag('v1')))).toBe('502 UNAVAILABLE')
  })
})

describe('credentials', () => {
  /** A registry with Bearer tokens: counts the tokens that it gives, and remembers what it was sent. */
  async function guard(upstream: FaultyUpstream, lifetimeSeconds: number) {
    const tokens: string[] = []
    upstream.fault = (request, response) => {
      const url = request.url ?? ''
      if (url.startsWith('/token')) {
        if (request.headers.authorization !== `Basic ${btoa('team:secret')}`) {
          sendJson(response, 401, 'UNAUTHORIZED', 'wrong password')
          return true
        }
        tokens.push(new URL(url, upstream.url).searchParams.get('scope') ?? '')
        response.end(JSON.stringify({ token: `t${tokens.length}`, expires_in: lifetimeSeconds }))
        return true
      }
      if (request.headers.authorization === `Bearer t${tokens.length}`) return false
      const challenge = `Bearer realm="${upstream.url}/token",service="reg"`
      sendJson(response, 401, 'UNAUTHORIZED', 'token needed', { 'WWW-Authenticate': challenge })
      return true
    }
    return tokens
  }

  const credentials = [{ prefix: 'app', username: 'team', password: 'secret' }]

  test('a token is fetched once a repository and used until it ends', async () => {
    const upstream = await makeUpstream()
    for (const name of ['a', 'b', 'c']) upstream.addManifest('app', name, manifestOf(name))
    const tokens = await guard(upstream, 300)
    const registry = await mirrorOf(upstream, { credentials })
    for (const name of ['a', 'b', 'c']) {
      expect((await registry.client.get(tag(name))).status).toBe(200)
    }
    expect(tokens).toEqual(['repository:app:pull'])
  })

  test('tokens that end at once work all the same', async () => {
    const upstream = await makeUpstream()
    for (const name of ['a', 'b']) upstream.addManifest('app', name, manifestOf(name))
    await guard(upstream, 0)
    const registry = await mirrorOf(upstream, { credentials })
    for (const name of ['a', 'b']) expect((await registry.client.get(tag(name))).status).toBe(200)
  })

  test('a wrong password is a 502 with the token server’s code alone, and no secret', async () => {
    const upstream = await makeUpstream()
    upstream.addManifest('app', 'a', manifestOf('a'))
    await guard(upstream, 300)
    const wrong = [{ prefix: '', username: 'team', password: 'hunter2' }]
    const registry = await mirrorOf(upstream, { credentials: wrong })
    const answer = await registry.client.get(tag('a'))
    expect(refusal(answer)).toBe('502 UNAVAILABLE')
    expect(answer.text).toContain('UNAUTHORIZED')
    expect(answer.text).toContain('see `credentials` of the mirror')
    expect(answer.text).not.toContain('wrong password')
    expect(answer.text + registry.logLines.join()).not.toContain('hunter2')
  })

  test('a redirect to another port gets no credentials, and its bytes are taken', async () => {
    const upstream = await makeUpstream()
    const bytes = someBytes(200_000, 3)
    const digest = upstream.addBlob('app', bytes)
    let sent: string | undefined = 'nothing came'
    const store: Server = createServer((request, response) => {
      sent = request.headers.authorization
      response.writeHead(200, { 'Content-Length': bytes.byteLength }).end(bytes)
    })
    await new Promise<void>((resolve) => store.listen(0, '127.0.0.1', resolve))
    open.push(() => new Promise((resolve) => store.close(resolve)))
    const { port } = store.address() as { port: number }
    upstream.fault = (request, response) => {
      if (request.headers.authorization === undefined) {
        sendJson(response, 401, 'UNAUTHORIZED', 'x', { 'WWW-Authenticate': 'Basic realm="x"' })
        return true
      }
      response.writeHead(307, { Location: `http://127.0.0.1:${port}/object` }).end()
      return true
    }
    const registry = await mirrorOf(upstream, { credentials })
    const answer = await registry.client.get(`/v2/hub/app/blobs/${digest}`)
    expect(sha256(answer.body)).toBe(digest)
    expect(sent).toBeUndefined()
  })
})

describe('what a mirror serves', () => {
  test('allow and deny, by the upstream’s names', async () => {
    const upstream = await makeUpstream()
    for (const name of ['app', 'team/a', 'team/secret']) {
      upstream.addManifest(name, 'v1', manifestOf('a'))
    }
    const registry = await mirrorOf(upstream, { allow: ['team/*'], deny: ['team/secret'] })
    const status = async (name: string) =>
      (await registry.client.get(`/v2/hub/${name}/manifests/v1`)).status
    expect(await status('team/a')).toBe(200)
    expect(await status('team/secret')).toBe(403)
    expect(await status('app')).toBe(403)
  })

  test('a digest that is too young is held back, and the older one is answered', async () => {
    const upstream = await makeUpstream()
    upstream.addManifest('app', 'edge', manifestOf('a'))
    const first = await mirrorOf(upstream)
    expect((await first.client.get(tag('edge'))).status).toBe(200)
    const { folder } = first
    await first.stop()
    const child = upstream.addManifest('app', undefined, manifestOf('child'))
    upstream.addManifest(
      'app',
      'edge',
      imageIndex([
        { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: child, size: 1 },
      ]),
    )
    const registry = await startInProcess({
      engine: 'uws',
      folder,
      mirrors: [{ name: 'hub', upstream: upstream.url, cache_ttl: '0s', cooldown: '1h' }],
    })
    open.push(() => registry.stop())
    const answer = await registry.client.get(tag('edge'))
    expect(answer.text).toBe(manifestOf('a'))
    expect(answer.headers['warning']).toContain('cooldown')
    expect((await registry.client.get(tag(child))).status).toBe(403)
  })

  test('small blobs that come in pieces, beside each other, are what they should be', async () => {
    const upstream = await makeUpstream()
    upstream.bytesPerSecond = 1_000_000
    const blobs = [1, 2, 3, 4].map((seed) => someBytes(60_000, 100 + seed))
    for (const bytes of blobs) upstream.addBlob('app', bytes)
    const registry = await mirrorOf(upstream)
    const answers = await Promise.all(
      blobs.map((bytes) => registry.client.get(`/v2/hub/app/blobs/${sha256(bytes)}`)),
    )
    expect(answers.map(({ body }) => sha256(body))).toEqual(blobs.map((bytes) => sha256(bytes)))
  })

  test('the blobs of one mirror are not readable through another that only names them', async () => {
    const secret = someBytes(100_000, 9)
    const good = await makeUpstream()
    const digest = good.addBlob('private/app', secret)
    const evil = await makeUpstream()
    const registry = await startInProcess({
      engine: 'uws',
      mirrors: [
        { name: 'good', upstream: good.url },
        { name: 'evil', upstream: evil.url },
      ],
    })
    open.push(() => dispose(registry))
    expect((await registry.client.get(`/v2/good/private/app/blobs/${digest}`)).status).toBe(200)
    const config = { mediaType: 'application/x', digest: sha256('{}'), size: 2 }
    const layer = { mediaType: 'application/x', digest, size: secret.byteLength }
    evil.addManifest('app', 'v1', imageManifest(config, [layer]))
    evil.fault = (request, response) => {
      if (request.method !== 'HEAD' || !request.url?.includes(digest)) return false
      response.writeHead(200, { 'Content-Length': secret.byteLength }).end()
      return true
    }
    expect((await registry.client.get('/v2/evil/app/manifests/v1')).status).toBe(200)
    expect((await registry.client.get(`/v2/evil/app/blobs/${digest}`)).status).toBe(404)
  })
})

describe('space', () => {
  test('the least recently pulled goes first; pins and local repositories keep theirs', async () => {
    const upstream = await makeUpstream()
    const size = 400_000
    const blobs = ['a', 'b', 'c', 'd'].map((name, index) => {
      const bytes = someBytes(size, index + 20)
      return { name, digest: upstream.addBlob(name === 'a' ? 'pinned' : 'app', bytes) }
    })
    const registry = await mirrorOf(upstream, { max_bytes: '1MiB', pins: ['pinned'] })
    const [a, b, c, d] = blobs
    const pull = (name: string, digest: string) =>
      registry.client.get(`/v2/hub/${name}/blobs/${digest}`)
    await pull('pinned', a!.digest)
    await pull('app', b!.digest)
    await until(async () => (await registry.blobFiles()).length === 2)
    await pull('app', c!.digest)
    await until(async () => !(await registry.blobFiles()).includes(b!.digest.slice(7)))
    await pull('app', d!.digest)
    await until(async () => !(await registry.blobFiles()).includes(c!.digest.slice(7)))
    expect(await registry.blobFiles()).toContain(a!.digest.slice(7))
    const before = upstream.count('GET', b!.digest)
    expect((await pull('app', b!.digest)).status).toBe(200)
    expect(upstream.count('GET', b!.digest)).toBe(before + 1)
  })

  test('what is being read stays until it was read', async () => {
    const upstream = await makeUpstream()
    const large = someBytes(24_000_000, 40)
    const others = [41, 42].map((seed) => someBytes(2_000_000, seed))
    for (const bytes of [large, ...others]) upstream.addBlob('app', bytes)
    const registry = await mirrorOf(upstream, { max_bytes: '25MB' })
    const path = (bytes: Buffer) => `/v2/hub/app/blobs/${sha256(bytes)}`
    const isStored = async (bytes: Buffer) =>
      (await registry.blobFiles()).includes(sha256(bytes).slice(7))
    await registry.client.get(path(large))
    await until(() => isStored(large))
    // Larger than what the sockets hold: it is being read until this client takes it.
    const reader = await registry.connect()
    await reader.request('GET', path(large))
    await reader.readBytes(100)
    // The least recently pulled is the large one, and it must go: so a small one goes instead, perhaps
    // at once.
    for (const bytes of others) await registry.client.get(path(bytes))
    const evicted = async () => {
      const { text } = await registry.client.get('/metrics')
      return Number(/evicted_blobs_total\{[^}]*\} (\d+)/.exec(text)?.[1] ?? 0)
    }
    await until(async () => (await evicted()) > 0)
    expect(await isStored(large)).toBe(true)
    const rest = await reader.readBytes(large.byteLength)
    expect(rest.byteLength).toBe(large.byteLength)
  })

  test('short of disk space, pulls go through and nothing is stored', async () => {
    const upstream = await makeUpstream()
    const digest = upstream.addBlob('app', someBytes(300_000, 4))
    const registry = await mirrorOf(upstream, {}, { storage: { reserve_mb: 8_000_000 } })
    const answer = await registry.client.get(`/v2/hub/app/blobs/${digest}`)
    expect(answer.headers['x-fastregistry-cache']).toBe('pass')
    expect(sha256(answer.body)).toBe(digest)
    expect(await registry.blobFiles()).toEqual([])
  })

  test.each([
    ['a part that was not asked for is refused', 10, 502],
    ['a part that is the whole is passed on', 300_000, 200],
  ])('short of disk space, %s', async (_name, length, status) => {
    const upstream = await makeUpstream()
    const bytes = someBytes(300_000, 5)
    const digest = upstream.addBlob('app', bytes)
    upstream.fault = (request, response) => {
      if (request.method !== 'GET' || !request.url!.includes('/blobs/')) return false
      const range = `bytes 0-${length - 1}/300000`
      response.writeHead(206, { 'Content-Range': range, 'Content-Length': length })
      response.end(bytes.subarray(0, length))
      return true
    }
    const registry = await mirrorOf(upstream, {}, { storage: { reserve_mb: 8_000_000 } })
    const answer = await registry.client.get(`/v2/hub/app/blobs/${digest}`)
    expect(answer.status).toBe(status)
    if (status === 200) expect(sha256(answer.body)).toBe(digest)
  })
})

describe('the admin API', () => {
  test('warms, shows, refreshes and purges', async () => {
    const upstream = await makeUpstream()
    const layer = someBytes(200_000, 6)
    const digest = upstream.addBlob('app', layer)
    upstream.addBlob('app', Buffer.from('{}'))
    const config = { mediaType: 'application/x', digest: sha256('{}'), size: 2 }
    const image = imageManifest(config, [{ mediaType: 'application/x', digest, size: 200_000 }])
    upstream.addManifest('app', 'v1', image)
    const registry = await mirrorOf(upstream)
    const post = (path: string, body: object) =>
      registry.client.request('POST', `/admin/mirrors/hub/${path}`, {
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      })
    const warmed = await post('warm', { references: ['app:v1', 'app:none'], wait: true })
    expect(warmed.json).toMatchObject({ warmed: ['app:v1'], failed: [{ reference: 'app:none' }] })
    expect(await registry.blobFiles()).toEqual([digest.slice(7)])
    upstream.addManifest('app', 'v1', manifestOf('new'))
    const refreshed = await post('refresh', { repository: 'app', tag: 'v1' })
    expect(refreshed.json).toEqual({ digest: sha256(manifestOf('new')) })
    const shown = await registry.client.get('/admin/mirrors/hub')
    expect(shown.json).toMatchObject({ name: 'hub', storedBlobs: 2, storedBytes: 200_002 })
    const { text } = await registry.client.get('/metrics')
    expect(text).toContain('fastregistry_mirror_stored_bytes{mirror="hub"} 200002')
    const inAll = /first_byte_seconds_count\{mirror="hub"\} (\d+)/.exec(text)
    expect(Number(inAll![1])).toBeGreaterThan(0)
    expect(text).toContain(`first_byte_seconds_bucket{mirror="hub",le="+Inf"} ${inAll![1]}\n`)
    expect(text).toMatch(/first_byte_seconds_bucket\{mirror="hub",le="0\.05"\} \d/)
    expect(text).toMatch(
      /fastregistry_mirror_upstream_errors_total\{mirror="hub",class="missing"} \d/,
    )
    const clients = await registry.client.get('/admin/mirrors/hub/clients?address=reg:5000')
    expect(clients.text).toContain('http://reg:5000')
    const purged = await post('purge', { repository: 'app' })
    expect(purged.json).toEqual({ repositories: 1, manifests: 2, blobs: 2 })
    expect(await registry.blobFiles()).toEqual([])
    await upstream.stop()
    expect((await registry.client.get(tag('v1'))).status).toBe(502)
  })
})
