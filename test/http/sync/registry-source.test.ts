/** @module Any registry as a source: real ones, and those that answer otherwise. */
import { execFileSync } from 'node:child_process'
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/runtime/clock.ts'
import { SyncError } from '../../../src/sync/port.ts'
import { RegistrySource, type RegistrySourceOptions } from '../../../src/sync/sources/registry.ts'
import { type Fault, FaultyUpstream, sendJson } from '../../support/faulty-upstream.ts'
import { dispose, startInProcess } from '../../support/in-process.ts'
import { imageManifest, sha256 } from '../../support/registry-client.ts'
import { startPeer } from '../../support/token-registry.ts'
import { openUpstream, type TestUpstreamOptions, userOf } from '../../support/upstream-client.ts'

const open: (() => Promise<unknown>)[] = []
const { signal } = new AbortController()
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

async function sourceOf(
  url: string,
  options: Partial<RegistrySourceOptions> = {},
  client: TestUpstreamOptions = {},
): Promise<RegistrySource> {
  const { upstream, close } = await openUpstream(url, client)
  open.push(close)
  return new RegistrySource({ upstream, clock: systemClock, repositories: undefined, ...options })
}

async function faulty(fault?: Fault): Promise<FaultyUpstream> {
  const upstream = new FaultyUpstream()
  await upstream.start()
  open.push(() => upstream.stop())
  upstream.fault = fault
  return upstream
}

async function namesOf(source: RegistrySource): Promise<string[]> {
  const names: string[] = []
  for await (const page of source.repositories(signal)) names.push(...page.map(({ name }) => name))
  return names
}

async function tagsOf(source: RegistrySource, repository: string) {
  const tags = []
  for await (const page of source.tags(repository, { signal })) tags.push(...page)
  return tags
}

const image = (mark: string) => {
  const config = {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: sha256('{}'),
    size: 2,
  }
  return JSON.stringify(imageManifest(config, [], { annotations: { mark } }))
}
const ociManifest = 'application/vnd.oci.image.manifest.v1+json'

/** Pushes images by plain requests. */
async function fill(url: string, names: readonly string[], tags: readonly string[], headers = {}) {
  for (const name of names) {
    const started = await fetch(`${url}/v2/${name}/blobs/uploads/`, { method: 'POST', headers })
    const location = new URL(started.headers.get('location')!, url)
    location.searchParams.set('digest', sha256('{}'))
    await fetch(location, {
      method: 'PUT',
      body: '{}',
      headers: { ...headers, 'Content-Type': 'application/octet-stream' },
    })
    for (const tag of tags) {
      const put = await fetch(`${url}/v2/${name}/manifests/${tag}`, {
        method: 'PUT',
        body: image(tag),
        headers: { ...headers, 'Content-Type': ociManifest },
      })
      expect(put.status).toBe(201)
    }
  }
}

const hasPeer = (() => {
  try {
    execFileSync('docker-registry', ['--version'])
    return true
  } catch {
    return false
  }
})()

describe.skipIf(!hasPeer)('docker-registry', () => {
  test('is listed with its digests', async () => {
    const peer = await startPeer({ command: 'docker-registry' })
    open.push(() => peer.stop())
    await fill(peer.url, ['b/two', 'a'], ['v1', 'v2'])
    const source = await sourceOf(peer.url)
    expect(await namesOf(source)).toEqual(['a', 'b/two'])
    expect(new Set((await tagsOf(source, 'b/two')).map(({ tag }) => tag))).toEqual(
      new Set(['v1', 'v2']),
    )
    expect(await source.tag('a', 'v1', signal)).toEqual({ tag: 'v1', digest: sha256(image('v1')) })
    expect(await source.tag('a', 'v9', signal)).toBeUndefined()
    await expect(tagsOf(source, 'none')).rejects.toMatchObject({ kind: 'missing' })
  })

  test('behind a token server is asked with the scope of catalogs; a bad password is the credential', async () => {
    const user = { name: 'team', password: 'secret' }
    const peer = await startPeer({ command: 'docker-registry', user })
    open.push(() => peer.stop())
    const tokenServer = peer.tokenServer
    const credential = (password: string) => ({ ...userOf('team', password), tokenServer })
    const source = await sourceOf(peer.url, {}, { credentials: [credential('secret')] })
    await source.probe(signal)
    expect(await namesOf(source)).toEqual([])
    expect(peer.scopes).toContain('registry:catalog:*')
    const other = await sourceOf(peer.url, {}, { credentials: [credential('wrong')] })
    await expect(other.probe(signal)).rejects.toMatchObject({ reason: 'credentials' })
  })
})

test('FastRegistry is listed with its digests', async () => {
  const registry = await startInProcess({ engine: 'uws' })
  open.push(() => dispose(registry))
  const url = `http://127.0.0.1:${registry.port}`
  await fill(url, ['b/two', 'a'], ['v1', 'v2'])
  const source = await sourceOf(url)
  expect(await namesOf(source)).toEqual(['a', 'b/two'])
  expect(await tagsOf(source, 'a')).toEqual([{ tag: 'v1' }, { tag: 'v2' }])
  expect(await source.tag('a', 'v1', signal)).toEqual({ tag: 'v1', digest: sha256(image('v1')) })
  expect(await source.tag('a', 'v9', signal)).toBeUndefined()
  await expect(source.tag('none', 'v9', signal)).rejects.toMatchObject({ kind: 'missing' })
})

const answer =
  (status: number, body: unknown, headers: Record<string, string> = {}): Fault =>
  (_request, response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
    return true
  }

/** By path: what is asked for below it. */
const at =
  (part: string, fault: (query: URLSearchParams) => Fault): Fault =>
  (request, response, content) => {
    const url = new URL(request.url ?? '', 'http://x')
    if (!url.pathname.includes(part)) return false
    return fault(url.searchParams)(request, response, content)
  }

describe('a catalog', () => {
  test.each([401, 403, 404, 405, 400])('that is not given (%i) asks for names', async (status) => {
    const upstream = await faulty(at('_catalog', () => answer(status, '{}')))
    const error = await namesOf(await sourceOf(upstream.url)).catch((it: unknown) => it)
    expect(error).toBeInstanceOf(SyncError)
    expect(String(error)).toContain('`repositories`')
  })

  test('is not asked for where names are given, each once', async () => {
    const upstream = await faulty()
    const source = await sourceOf(upstream.url, { repositories: ['b', 'a', 'b'] })
    expect(await namesOf(source)).toEqual(['b', 'a'])
    expect(upstream.asked).toEqual([])
  })

  test('is asked for in hundreds where a thousand is too many', async () => {
    const upstream = await faulty(
      at('_catalog', (query) =>
        Number(query.get('n')) > 100 ? answer(400, '{}') : answer(200, { repositories: ['a'] }),
      ),
    )
    expect(await namesOf(await sourceOf(upstream.url))).toEqual(['a'])
  })

  test('is led on by the query of its link alone', async () => {
    const upstream = await faulty(
      at('_catalog', (query) =>
        query.get('last') === 'a'
          ? answer(200, { repositories: ['b'] })
          : answer(
              200,
              { repositories: ['a'] },
              { Link: '<http://127.0.0.1:1/else?last=a>; rel="next"' },
            ),
      ),
    )
    expect(await namesOf(await sourceOf(upstream.url))).toEqual(['a', 'b'])
  })

  test('that is full and leads nowhere is asked for more', async () => {
    const all = Array.from({ length: 1500 }, (_, index) => `r${String(index).padStart(5, '0')}`)
    const upstream = await faulty(
      at('_catalog', (query) => {
        const from = all.findIndex((name) => name > (query.get('last') ?? ''))
        return answer(200, { repositories: from === -1 ? [] : all.slice(from, from + 1000) })
      }),
    )
    expect(await namesOf(await sourceOf(upstream.url))).toEqual(all)
  })

  test.each([
    ['leads in a circle', [], () => 'x'],
    ['repeats itself', ['a'], () => 'x'],
    ['repeats itself under new cursors', ['a'], () => String(Math.random())],
  ])('that %s is no whole list', async (_what, repositories, cursor) => {
    const upstream = await faulty(
      at('_catalog', () =>
        answer(200, { repositories }, { Link: `</v2/_catalog?last=${cursor()}>; rel="next"` }),
      ),
    )
    await expect(namesOf(await sourceOf(upstream.url))).rejects.toMatchObject({
      reason: 'incomplete-listing',
    })
    expect(upstream.count('GET', '_catalog')).toBeLessThan(5)
  })

  test('names that are not below the path of the URL are not its own', async () => {
    const upstream = await faulty(
      at('_catalog', () => answer(200, { repositories: ['team/a', 'other/b', 7, null] })),
    )
    const source = await sourceOf(upstream.url, { namePrefix: 'team/' })
    expect(await namesOf(source)).toEqual(['a'])
  })

  test.each(['{}', '[]', '{"repositories":{}}', 'no json', '{"repositories":["a"'])(
    'that is %s fails',
    async (body) => {
      const upstream = await faulty(at('_catalog', () => answer(200, body)))
      await expect(namesOf(await sourceOf(upstream.url))).rejects.toMatchObject({ kind: 'garbage' })
    },
  )
})

describe('tags', () => {
  test("of Google's registries come with digests and times", async () => {
    const digest = sha256('x')
    const manifest = {
      [digest]: { tag: ['v1', 'latest'], mediaType: ociManifest, timeUploadedMs: '1700000000000' },
      'sha256:bad': { tag: ['v2'] },
    }
    const upstream = await faulty(
      at('tags/list', () => answer(200, { child: [], manifest, tags: ['latest', 'v1', 'v2'] })),
    )
    const known = { digest, pushedAt: 1_700_000_000_000 }
    expect(await tagsOf(await sourceOf(upstream.url), 'a')).toEqual([
      { tag: 'latest', ...known },
      { tag: 'v1', ...known },
      { tag: 'v2' },
    ])
  })

  test('that are null are none', async () => {
    const upstream = await faulty(at('tags/list', () => answer(200, { name: 'a', tags: null })))
    expect(await tagsOf(await sourceOf(upstream.url), 'a')).toEqual([])
  })
})

describe('one tag', () => {
  test('whose HEAD says nothing, or is refused, is read', async () => {
    const upstream = await faulty((request, response) => {
      if (request.method !== 'HEAD') return false
      response.writeHead(upstream.asked.length > 2 ? 405 : 200).end()
      return true
    })
    const digest = upstream.addManifest('a', 'v1', image('v1'))
    const source = await sourceOf(upstream.url)
    expect(await source.tag('a', 'v1', signal)).toEqual({ tag: 'v1', digest })
    expect(await source.tag('a', 'v1', signal)).toEqual({ tag: 'v1', digest })
    expect(upstream.count('GET', 'manifests/v1')).toBe(2)
    expect(upstream.asked[0]?.headers.accept).toContain('image.index')
  })

  test.each([401, 403, 500])('is not gone where it could not be asked (%i)', async (status) => {
    const upstream = await faulty(answer(status, '{}'))
    await expect((await sourceOf(upstream.url)).tag('a', 'v1', signal)).rejects.toThrow()
  })

  test('is not gone with its repository, or where a redirect led', async () => {
    const upstream = await faulty((_request, response) => {
      sendJson(response, 404, 'NAME_UNKNOWN', 'no such repository')
      return true
    })
    const source = await sourceOf(upstream.url)
    await expect(source.tag('a', 'v1', signal)).rejects.toMatchObject({ kind: 'missing' })
    const other = await faulty()
    upstream.fault = answer(307, '', { Location: `${other.url}/v2/x/manifests/v1` })
    await expect(source.tag('a', 'v1', signal)).rejects.toMatchObject({ isElsewhere: true })
  })
})
