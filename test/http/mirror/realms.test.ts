/**
 * What an upstream says about where to log in is judged: passwords go to a token server of its own
 * domain or to the configured one, and what a stranger answers reaches no client.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { FaultyUpstream, sendJson } from '../../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'
import { errorsOf, imageManifest, sha256 } from '../../support/registry-client.ts'

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

const config = { mediaType: 'application/x', digest: sha256('{}'), size: 2 }

const words = 'words of a stranger'

/** Another host of the same machine, which answers every request with `status`. */
async function startStranger(status: number, body: object) {
  const seen: IncomingMessage[] = []
  const server: Server = createServer((request, response) => {
    seen.push(request)
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push(() => new Promise((resolve) => server.close(resolve)))
  const { port } = server.address() as { port: number }
  return { url: `http://127.0.0.1:${port}`, seen }
}

async function mirrorOf(
  realm: (upstream: FaultyUpstream) => string,
  credentials: readonly object[],
): Promise<{ upstream: FaultyUpstream; registry: InProcessRegistry }> {
  const upstream = new FaultyUpstream()
  await upstream.start()
  open.push(() => upstream.stop())
  upstream.addManifest('app', 'v1', imageManifest(config, []))
  upstream.fault = (request, response) => {
    if (request.headers.authorization === 'Bearer good') return false
    const challenge = `Bearer realm="${realm(upstream)}",service="reg"`
    sendJson(response, 401, 'UNAUTHORIZED', 'token needed', { 'WWW-Authenticate': challenge })
    return true
  }
  const registry = await startInProcess({
    engine: 'uws',
    mirrors: [{ name: 'hub', upstream: upstream.url, credentials }],
  })
  open.push(() => dispose(registry))
  return { upstream, registry }
}

const login = { username: 'team', password: 'hunter2' }
const path = '/v2/hub/app/manifests/v1'

test('a password is not sent to a host that only the upstream names', async () => {
  const stranger = await startStranger(200, { token: 'good' })
  const { registry } = await mirrorOf(() => `${stranger.url}/internal?x=1`, [login])
  const answer = await registry.client.get(path)
  expect(answer.status).toBe(502)
  expect(errorsOf(answer)[0]!.message).toContain(`set token_server: ${stranger.url}`)
  expect(stranger.seen).toEqual([])
})

test('it is sent there once that host is configured', async () => {
  const stranger = await startStranger(200, { token: 'good' })
  const { registry } = await mirrorOf(
    () => `${stranger.url}/token`,
    [{ ...login, token_server: stranger.url }],
  )
  expect((await registry.client.get(path)).status).toBe(200)
  expect(stranger.seen[0]!.headers.authorization).toBe(`Basic ${btoa('team:hunter2')}`)
})

test('a configured token server is the only one, also beside the upstream itself', async () => {
  const stranger = await startStranger(200, { token: 'good' })
  const { registry, upstream } = await mirrorOf(
    (own) => `${own.url}/token`,
    [{ ...login, token_server: stranger.url }],
  )
  expect((await registry.client.get(path)).status).toBe(502)
  expect(upstream.asked.some(({ headers }) => headers.authorization !== undefined)).toBe(false)
})

test('without a password anybody may be asked for a token, and its words stay away from clients', async () => {
  const stranger = await startStranger(403, {
    errors: [{ code: 'DENIED', message: words }],
    secret: words,
  })
  const { registry } = await mirrorOf(() => `${stranger.url}/token`, [])
  const answer = await registry.client.get(path)
  expect(answer.status).toBe(404)
  expect(stranger.seen[0]!.headers.authorization).toBeUndefined()
  expect(answer.text).not.toContain(words)
  expect(answer.text).toContain('DENIED')
})

test('the words of a host that a redirect names stay away from clients', async () => {
  const stranger = await startStranger(400, { errors: [{ code: 'X', message: words }] })
  const upstream = new FaultyUpstream()
  await upstream.start()
  open.push(() => upstream.stop())
  upstream.fault = (_request, response) => {
    response.writeHead(307, { Location: `${stranger.url}/` }).end()
    return true
  }
  const registry = await startInProcess({
    engine: 'uws',
    mirrors: [{ name: 'hub', upstream: upstream.url, credentials: [login] }],
  })
  open.push(() => dispose(registry))
  const answer = await registry.client.get(path)
  expect(answer.status).toBe(502)
  expect(stranger.seen.length).toBeGreaterThan(0)
  expect(stranger.seen.every(({ headers }) => headers.authorization === undefined)).toBe(true)
  expect(answer.text).not.toContain(words)
})
