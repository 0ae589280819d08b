/**
 * @module What needs a process of its own: stops while transfers run, a second signal, a kill.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { ENGINES, until } from '../../support/in-process.ts'
import { RawClient } from '../../support/raw-http.ts'
import { expectStatus, RegistryClient, sha256, someBytes } from '../../support/registry-client.ts'
import {
  type RegistryOptions,
  type RunningRegistry,
  startRegistry,
} from '../../support/start-registry.ts'

const MiB = 1024 * 1024

const running: RunningRegistry[] = []
afterEach(async () => {
  for (const registry of running.splice(0)) await registry.stop()
})

async function start(options: RegistryOptions): Promise<RunningRegistry> {
  const registry = await startRegistry(options)
  running.push(registry)
  return registry
}

const isStopping = (registry: RunningRegistry) =>
  registry.logs().some((line) => line.includes('"msg":"stopping"'))

describe.each(ENGINES)('a stop on %s', (engine) => {
  test('waits for a slow download and a slow upload, then exits with 0', async () => {
    const registry = await start({ engine })
    const client = new RegistryClient(registry.port)
    const content = someBytes(16 * MiB)
    const { digest } = await client.pushBlob('app', content)
    const upload = someBytes(4 * MiB, 2)
    const location = await client.open('app')
    client.close()

    const reader = await RawClient.connect(registry.port)
    await reader.request('GET', `/v2/app/blobs/${digest}`)
    const head = await reader.readHead()
    const writer = await RawClient.connect(registry.port)
    const target = `${location}?digest=${sha256(upload)}`
    await writer.request('PUT', target, [`Content-Length: ${upload.length}`])
    await writer.send(upload.subarray(0, MiB))

    const stopped = registry.stop()
    await until(() => isStopping(registry))
    await expect(RawClient.connect(registry.port)).rejects.toThrow()
    const body = await reader.readBytes(Number(head.headers.get('content-length')))
    expect(body.equals(content)).toBe(true)
    await writer.send(upload.subarray(MiB))
    const answer = await writer.readResponse()
    expect(answer.status).toBe(201)
    expect(answer.headers.get('connection')).toBe('close')
    expect(await stopped).toBe(0)
    expect(registry.logs().some((line) => line.includes('"msg":"stopped"'))).toBe(true)
    expect(registry.logs().filter((line) => line.includes('"level":50'))).toEqual([])
  })

  test('with an idle connection and an idle session is quick', async () => {
    const registry = await start({ engine })
    const client = new RegistryClient(registry.port)
    await client.open('app')
    const begun = performance.now()
    expect(await registry.stop()).toBe(0)
    expect(performance.now() - begun).toBeLessThan(5_000)
    client.close()
  })

  test('ends at once with a second signal', async () => {
    const registry = await start({ engine })
    const location = await openSession(registry.port)
    const writer = await RawClient.connect(registry.port)
    await writer.request('PATCH', location, ['Content-Length: 1000000'])
    await writer.send(someBytes(1000))
    await until(() => openRequests(registry.port).then((open) => open === 2))
    const stopped = registry.stop()
    await until(() => isStopping(registry))
    process.kill(registry.pid, 'SIGTERM')
    expect(await stopped).toBe(143)
    expect(await writer.readToEnd()).toHaveLength(0)
  })

  test('cuts what runs longer than the limit', async () => {
    const registry = await start({ engine, config: { server: { shutdown_timeout: '100ms' } } })
    const location = await openSession(registry.port)
    const writer = await RawClient.connect(registry.port)
    await writer.request('PATCH', location, ['Content-Length: 1000000'])
    await writer.send(someBytes(1000))
    await until(() => openRequests(registry.port).then((open) => open === 2))
    expect(await registry.stop()).toBe(0)
    expect(await writer.readToEnd()).toHaveLength(0)
  })
})

async function openSession(port: number): Promise<string> {
  const client = new RegistryClient(port)
  const location = await client.open('app')
  client.close()
  return location
}

/** Requests being answered, the one that asks included. */
async function openRequests(port: number): Promise<number> {
  const client = new RegistryClient(port)
  const { text } = await client.get('/metrics')
  client.close()
  return Number(/^fastregistry_open_requests (\d+)$/m.exec(text)?.[1])
}

test('a push survives SIGKILL right after its 201', async () => {
  const registry = await start({})
  const content = someBytes(200_000, 3)
  const small = 'inline'
  const client = new RegistryClient(registry.port)
  await client.pushBlob('app', content)
  await client.pushBlob('app', small)
  await client.pushImage('app', 'v1')
  client.close()
  await registry.kill9()
  await registry.restart()
  const again = new RegistryClient(registry.port)
  for (const [bytes, size] of [
    [content, 200_000],
    [Buffer.from(small), small.length],
  ] as const) {
    const answer = await again.get(`/v2/app/blobs/${sha256(bytes)}`)
    expectStatus(answer, 200, `${size} bytes`)
    expect(answer.body.equals(bytes)).toBe(true)
  }
  expectStatus(await again.head('/v2/app/manifests/v1'), 200, 'manifest')
  again.close()
})
