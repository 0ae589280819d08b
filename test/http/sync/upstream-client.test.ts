/** @module What a sync needs of the upstream client beside what mirrors need. */
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/runtime/clock.ts'
import type { Rate } from '../../../src/runtime/token-bucket.ts'
import { Accounts } from '../../../src/upstream/accounts.ts'
import type { PathAsk } from '../../../src/upstream/ask.ts'
import { ShiftedClock } from '../../support/fake-clock.ts'
import { FAULTS, type Fault, FaultyUpstream, sendJson } from '../../support/faulty-upstream.ts'
import { QuayStandIn } from '../../support/quay/stand-in.ts'
import {
  openUpstream,
  type TestUpstreamOptions,
  tokenOf,
  userOf,
} from '../../support/upstream-client.ts'

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

async function faulty(fault?: Fault): Promise<FaultyUpstream> {
  const upstream = new FaultyUpstream()
  await upstream.start()
  open.push(() => upstream.stop())
  upstream.fault = fault
  return upstream
}

async function clientOf(url: string, options?: TestUpstreamOptions) {
  const client = await openUpstream(url, options)
  open.push(client.close)
  return client
}

const within = (ms: number) => systemClock.monotonic() + ms
const pathAsk = (path: string, more: Partial<PathAsk> = {}): PathAsk => {
  const deadline = within(10_000)
  return { method: 'GET', path, class: 'api', scope: '', by: 'sync', deadline, ...more }
}

const json: Fault = (_request, response) => {
  response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"ok":true}')
  return true
}

describe('a path of the host', () => {
  test('is asked for with its query', async () => {
    const upstream = await faulty(json)
    const { upstream: client, answers } = await clientOf(upstream.url)
    const { bytes } = await client.fetch(
      pathAsk('/api/v1/repository?namespace=x&next_page=a%2Fb'),
      100,
    )
    expect(bytes.toString()).toBe('{"ok":true}')
    expect(upstream.asked[0]?.url).toBe('/api/v1/repository?namespace=x&next_page=a%2Fb')
    expect(answers).toEqual(['api 200'])
  })

  test('is none that names another host', async () => {
    const upstream = await faulty(json)
    const { upstream: client } = await clientOf(upstream.url)
    for (const path of ['@evil.example/x', '.evil.example/', 'x']) {
      await expect(client.ask(pathAsk(path))).rejects.toThrow()
    }
    await client.ask(pathAsk('//evil.example/x')).then(({ body }) => body.abort())
    expect(upstream.asked.map(({ url }) => url)).toEqual(['//evil.example/x'])
  })

  test('is sent a small body, which is not sent to where a redirect leads', async () => {
    const bodies: string[] = []
    let isMoved = false
    const upstream = await faulty((request, response) => {
      if (isMoved) {
        response.writeHead(307, { Location: '/elsewhere' }).end()
        return true
      }
      request.on('data', (chunk: Buffer) => void bodies.push(chunk.toString()))
      request.on('end', () => json(request, response, undefined))
      return true
    })
    const { upstream: client } = await clientOf(upstream.url)
    const ask = pathAsk('/v2/auth/token', {
      method: 'POST',
      body: '{"identifier":"me"}',
      headers: { 'Content-Type': 'application/json' },
    })
    await client.fetch(ask, 100)
    expect(bodies).toEqual(['{"identifier":"me"}'])
    isMoved = true
    await expect(client.fetch(ask, 100)).rejects.toMatchObject({ status: 307 })
    expect(upstream.count('POST', '/elsewhere')).toBe(0)
    await expect(client.fetch({ ...ask, body: 'x'.repeat(70_000) }, 100)).rejects.toThrow()
  })

  test('gets headers of its own, another host does not', async () => {
    const other = await faulty(json)
    const upstream = await faulty((_request, response) => {
      response.writeHead(307, { Location: `${other.url}/there` }).end()
      return true
    })
    const { upstream: client } = await clientOf(upstream.url)
    const ownHeaders = { 'Private-Token': 'secret', Authorization: 'Bearer own' }
    await client.fetch(pathAsk('/here', { ownHeaders }), 100)
    expect(upstream.asked[0]?.headers).toMatchObject({
      'private-token': 'secret',
      authorization: 'Bearer own',
    })
    expect(other.asked[0]?.headers).not.toHaveProperty('private-token')
    expect(other.asked[0]?.headers).not.toHaveProperty('authorization')
  })

  test('is given up when its signal says so, while it waits and while it is answered', async () => {
    const upstream = await faulty(() => true)
    const { upstream: client } = await clientOf(upstream.url)
    const controller = new AbortController()
    const asking = client.ask(pathAsk('/x', { signal: controller.signal }))
    await expect.poll(() => upstream.asked.length).toBe(1)
    controller.abort(new Error('cancelled'))
    await expect(asking).rejects.toThrow('cancelled')
    await expect(client.ask(pathAsk('/x', { signal: controller.signal }))).rejects.toThrow(
      'cancelled',
    )
    expect(upstream.asked).toHaveLength(1)
  })
})

describe('tokens', () => {
  test('of Quay live as long as they say, and are had without a scope', async () => {
    const quay = await new QuayStandIn().start()
    open.push(() => quay.stop())
    quay.auth.robots.set('org+bot', 'pw')
    quay.model.addRepository('org/app', { readers: ['org+bot'] })
    const { upstream: client } = await clientOf(quay.url, {
      credentials: [userOf('org+bot', 'pw')],
    })
    await client.fetch(pathAsk('/v2/'), 1000)
    const { bytes } = await client.fetch(pathAsk('/v2/_catalog', { class: 'list' }), 1000)
    expect(JSON.parse(bytes.toString())).toEqual({ repositories: ['org/app'] })
    expect(quay.count('auth')).toBe(1)
    expect(quay.asked.find(({ of }) => of === 'auth')?.url).not.toContain('scope')
  })

  test('for a catalog name it', async () => {
    const scopes: (string | null)[] = []
    const upstream = await faulty((request, response) => {
      const url = new URL(request.url ?? '', 'http://x')
      if (url.pathname === '/token') {
        scopes.push(url.searchParams.get('scope'))
        response.writeHead(200).end('{"token":"t"}')
        return true
      }
      if (request.headers.authorization === 'Bearer t') return json(request, response, undefined)
      const challenge = `Bearer realm="http://${request.headers.host}/token"`
      sendJson(response, 401, 'UNAUTHORIZED', 'who', { 'WWW-Authenticate': challenge })
      return true
    })
    const { upstream: client } = await clientOf(upstream.url)
    const scope = 'registry:catalog:*'
    await client.fetch(pathAsk('/v2/_catalog', { class: 'list', scope }), 100)
    await client.fetch(pathAsk('/v2/'), 100)
    expect(scopes).toEqual([scope, null])
  })

  test('that are sent as they are go to the API', async () => {
    const upstream = await faulty(json)
    const { upstream: client } = await clientOf(upstream.url, { credentials: [tokenOf('oauth')] })
    await client.fetch(pathAsk('/api/v1/x'), 100)
    expect(upstream.asked[0]?.headers.authorization).toBe('Bearer oauth')
  })
})

describe('what is refused', () => {
  /** Gives tokens by `answer`: the status for a scope, or for none. */
  async function withTokens(answer: (scope: string | null) => number) {
    const scopes: (string | null)[] = []
    const upstream = await faulty((request, response) => {
      const url = new URL(request.url ?? '', 'http://x')
      if (url.pathname === '/token') {
        const scope = url.searchParams.get('scope')
        scopes.push(scope)
        const status = answer(scope)
        if (status === 200) response.writeHead(200).end('{"token":"t"}')
        else sendJson(response, status, 'DENIED', 'no')
        return true
      }
      const challenge = `Bearer realm="http://${request.headers.host}/token"`
      sendJson(response, 401, 'UNAUTHORIZED', 'who', { 'WWW-Authenticate': challenge })
      return true
    })
    const client = await clientOf(upstream.url, { credentials: [userOf('me', 'pw')] })
    const ask = { repository: 'app', tail: 'manifests/v1', by: 'sync' } as const
    const failing = () => client.upstream.fetch({ ...ask, deadline: within(5000) }, 100)
    return { failing, scopes }
  }

  test.each([401, 403])(
    'for one repository by a token server (%i) is not the credential',
    async (status) => {
      const { failing, scopes } = await withTokens((scope) => (scope === null ? 200 : status))
      await expect(failing()).rejects.toMatchObject({ kind: 'denied' })
      expect(scopes).toEqual(['repository:app:pull', null])
    },
  )

  test.each([
    [401, 401, 'auth'],
    [403, 403, 'auth'],
    [403, 400, 'auth'],
    [403, 503, 'server'],
  ])('for everything (%i, then %i) is %s', async (first, then, kind) => {
    const { failing } = await withTokens((scope) => (scope === null ? then : first))
    await expect(failing()).rejects.toMatchObject({ kind })
  })

  test('to a password is asked about again: it may end at any time', async () => {
    const clock = new ShiftedClock()
    let isGood = true
    const upstream = await faulty((request, response) => {
      if (request.url === '/v2/' && isGood) return json(request, response, undefined)
      return FAULTS.unauthorized(request, response)
    })
    const credentials = [userOf('me', 'pw')]
    const { upstream: client } = await clientOf(upstream.url, { credentials, clock })
    const ask = { repository: 'app', tail: 'manifests/v1', by: 'sync' } as const
    const kindOf = () =>
      client.fetch({ ...ask, deadline: clock.monotonic() + 5000 }, 100).catch(({ kind }) => kind)
    expect(await kindOf()).toBe('hidden')
    isGood = false
    clock.advance(16_000)
    expect(await kindOf()).toBe('auth')
  })
})

describe('the rate of requests', () => {
  test('counts lists, tokens and repetitions, and not what a redirect leads to', async () => {
    const storage = await faulty(json)
    let failures = 1
    const upstream = await faulty((request, response, content) => {
      const url = new URL(request.url ?? '', 'http://x')
      if (url.pathname === '/token') {
        response.writeHead(200).end('{"token":"t"}')
        return true
      }
      if (request.headers.authorization !== 'Bearer t') {
        const challenge = `Bearer realm="http://${request.headers.host}/token"`
        sendJson(response, 401, 'UNAUTHORIZED', 'who', { 'WWW-Authenticate': challenge })
        return true
      }
      failures -= 1
      if (failures >= 0) return FAULTS.broken(request, response)
      if (url.pathname.includes('/blobs/')) {
        response.writeHead(307, { Location: `${storage.url}/blob` }).end()
        return true
      }
      return json(request, response, content)
    })
    const taken: number[] = []
    const take = (count: number) => {
      taken.push(count)
      return 0
    }
    const requestRate = { take } as unknown as Rate
    const { upstream: client } = await clientOf(upstream.url, { requestRate })
    await client.fetch(pathAsk('/v2/_catalog', { class: 'list' }), 100)
    // 401, the token, a failure, the list.
    expect(taken).toHaveLength(4)
    const ask = { repository: 'app', tail: 'blobs/sha256:x', by: 'sync' } as const
    await client.fetch({ ...ask, deadline: within(5000) }, 100)
    // A token for the repository, and the blob.
    expect(taken).toHaveLength(6)
    expect(taken.length).toBe(upstream.asked.length)
    expect(storage.asked).toHaveLength(1)
  })
})

test('the rate of content counts manifests and blobs that are fetched, and nothing else', async () => {
  const upstream = await faulty(json)
  const taken: number[] = []
  const take = (count: number) => {
    taken.push(count)
    return 0
  }
  const { upstream: client } = await clientOf(upstream.url, { contentRate: { take } })
  const ask = { repository: 'app', by: 'sync', deadline: within(5_000) } as const
  await client.fetch(pathAsk('/v2/_catalog', { class: 'list' }), 100)
  await client.fetch({ ...ask, tail: 'tags/list' }, 100)
  const head = await client.ask({ ...ask, method: 'HEAD', tail: 'manifests/v1' })
  head.body.abort()
  expect(taken).toEqual([])
  await client.fetch({ ...ask, tail: 'manifests/v1' }, 100)
  await client.fetch({ ...ask, tail: 'referrers/sha256:x' }, 100)
  await client.fetch({ ...ask, tail: 'blobs/sha256:x' }, 100)
  expect(taken).toEqual([1, 1, 1])
})

test('a pull does not wait for the token for which a sync waits', async () => {
  const upstream = await faulty((request, response, content) => {
    if (request.url?.startsWith('/token') === true) {
      response.writeHead(200).end('{"token":"t"}')
      return true
    }
    if (request.headers.authorization === 'Bearer t') return json(request, response, content)
    const challenge = `Bearer realm="http://${request.headers.host}/token"`
    sendJson(response, 401, 'UNAUTHORIZED', 'who', { 'WWW-Authenticate': challenge })
    return true
  })
  const waits = [0, 600_000]
  let isWaiting: () => void = () => undefined
  const waiting = new Promise<void>((resolve) => {
    isWaiting = resolve
  })
  const take = () => {
    const waitMs = waits.shift() ?? 0
    if (waitMs > 0) isWaiting()
    return waitMs
  }
  const requestRate = { take } as unknown as Rate
  const { upstream: client } = await clientOf(upstream.url, { requestRate })
  const stop = new AbortController()
  const ask = { repository: 'app', tail: 'manifests/v1' } as const
  const sync = { ...ask, by: 'sync', signal: stop.signal, deadline: within(5_000) } as const
  const late = client.fetch(sync, 100).catch((error: unknown) => error)
  await waiting
  const pulled = await client.fetch({ ...ask, by: 'pull', deadline: within(5_000) }, 100)
  expect(pulled.status).toBe(200)
  stop.abort(new Error('stopped'))
  expect(await late).toMatchObject({ message: 'stopped' })
}, 15_000)

describe('a host that is asked too much', () => {
  const limited =
    (headers: Record<string, string>, status = 429): Fault =>
    (_request, response) => {
      sendJson(response, status, 'TOOMANYREQUESTS', 'slow down', headers)
      return true
    }

  test('is waited for by a sync, however often it says so, without Retry-After too', async () => {
    let refusals = 4
    const upstream = await faulty((request, response, content) => {
      refusals -= 1
      return (refusals >= 0 ? limited({}) : json)(request, response, content)
    })
    const { upstream: client } = await clientOf(upstream.url)
    await client.fetch(pathAsk('/x', { deadline: within(30_000) }), 100)
    expect(upstream.asked).toHaveLength(5)
  })

  test.each([429, 503])(
    'for long is an error that says until when, and is not asked again (%i)',
    async (status) => {
      const upstream = await faulty(limited({ 'Retry-After': '600' }, status))
      const { upstream: client } = await clientOf(upstream.url)
      const started = systemClock.now()
      for (let attempt = 0; attempt < 3; attempt += 1) {
        const error = await client.fetch(pathAsk('/x'), 100).catch((it) => it)
        expect(error).toMatchObject({ kind: status === 429 || attempt > 0 ? 'limited' : 'server' })
        if (error.kind === 'limited') {
          expect(Math.abs(error.retryAt - started - 600_000)).toBeLessThan(2000)
        }
      }
      expect(upstream.asked).toHaveLength(1)
    },
  )

  test('is believed in the older header', async () => {
    const upstream = await faulty(limited({ 'X-Retry-After': '600' }))
    const { upstream: client } = await clientOf(upstream.url)
    const error = await client.fetch(pathAsk('/x'), 100).catch((it) => it)
    expect(Math.abs(error.retryAt - systemClock.now() - 600_000)).toBeLessThan(2000)
  })

  test('with little left of its quota answers pulls alone', async () => {
    const upstream = await faulty((_request, response) => {
      const headers = {
        'RateLimit-Limit': '100',
        'RateLimit-Remaining': '15',
        'RateLimit-Reset': '900',
      }
      response.writeHead(200, { 'Content-Type': 'application/json', ...headers }).end('{}')
      return true
    })
    const accounts = new Accounts(systemClock)
    const [sync, pull] = [
      await clientOf(upstream.url, { accounts }),
      await clientOf(upstream.url, { accounts }),
    ]
    const ask = { repository: 'app', tail: 'manifests/v1', deadline: within(5000) }
    await pull.upstream.fetch(ask, 100)
    const error = await sync.upstream.fetch({ ...ask, by: 'sync' }, 100).catch((it) => it)
    expect(error).toMatchObject({ kind: 'limited' })
    expect(Math.abs(error.retryAt - systemClock.now() - 900_000)).toBeLessThan(2000)
    await pull.upstream.fetch(ask, 100)
    expect(upstream.asked).toHaveLength(2)
  })

  test('by a sync answers pulls, and what it refuses to pulls is asked by no sync', async () => {
    let isPullLimited = false
    const isLimited = (agent: string) => isPullLimited || agent.includes('sync')
    const upstream = await faulty((request, response, content) => {
      const answer = isLimited(String(request.headers['user-agent']))
        ? limited({ 'Retry-After': '12' })
        : json
      return answer(request, response, content)
    })
    const { upstream: client } = await clientOf(upstream.url)
    const ask = { repository: 'app', tail: 'manifests/v1' } as const
    const hasty = () => ({ ...ask, deadline: within(1_000) })
    const sync = { ...ask, by: 'sync' } as const
    await expect(client.fetch({ ...sync, deadline: within(1_000) }, 100)).rejects.toMatchObject({
      kind: 'limited',
    })
    // Held for as long as was said; pulls are not.
    await expect(client.fetch({ ...sync, deadline: within(500) }, 100)).rejects.toMatchObject({
      kind: 'limited',
    })
    expect(upstream.asked).toHaveLength(1)
    expect(client.breakers).toMatchObject([{ state: 'closed' }])
    await client.fetch(hasty(), 100)
    isPullLimited = true
    await expect(client.fetch(hasty(), 100)).rejects.toMatchObject({ kind: 'limited' })
    const count = upstream.asked.length
    await expect(client.fetch(hasty(), 100)).rejects.toMatchObject({ kind: 'circuit' })
    await expect(client.fetch({ ...sync, deadline: within(500) }, 100)).rejects.toMatchObject({
      kind: 'limited',
    })
    expect(upstream.asked).toHaveLength(count)
  })

  test('gets no requests of a class faster than its rate', async () => {
    const quay = await new QuayStandIn().start()
    open.push(() => quay.stop())
    quay.switches.limits = { api: { perSecond: 25, burst: 6 } }
    const { upstream: client, answers } = await clientOf(quay.url, {
      limits: { classes: { api: 20 } },
    })
    const asks = Array.from({ length: 20 }, () =>
      client.fetch(pathAsk('/api/v1/users/none'), 1000).catch(() => undefined),
    )
    await Promise.all(asks)
    expect(answers).toEqual(Array.from({ length: 20 }, () => 'api 404'))
  })
})
