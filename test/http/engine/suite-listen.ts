/** @module The engine suite's part about listeners: addresses, TLS, refusals, shutdown. */
import { expect, test } from 'vitest'
import type { Handler } from '../../../src/http/engine/port.ts'
import { fetchRaw, RawClient } from '../../support/raw-http.ts'
import {
  aborted,
  connectError,
  deferred,
  type MakeEngine,
  MemorySource,
  MiB,
  ok,
  pattern,
  serve,
  testTls,
  until,
} from './harness.ts'

export function listenSuite(make: MakeEngine): void {
  const address = () =>
    serve(make, (request, response) =>
      response.send(ok, `${request.remoteAddress} ${request.isTls}`),
    )

  test('an empty host listens on IPv4 and IPv6, and the address is short', async () => {
    const { port } = await address()
    const seen = async (host: string) =>
      String((await fetchRaw(port, 'GET', '/', [], { host })).body)
    expect(await seen('127.0.0.1')).toBe('127.0.0.1 false')
    expect(await seen('::1')).toBe('::1 false')
  })

  test('one engine has several listeners', async () => {
    const served = await address()
    const second = await served.engine.listen({ host: '127.0.0.1', port: 0 })
    expect(second).not.toBe(served.port)
    expect(String((await fetchRaw(second, 'GET', '/')).body)).toBe('127.0.0.1 false')
    expect(String((await fetchRaw(served.port, 'GET', '/')).body)).toBe('127.0.0.1 false')
  })

  test('serves TLS', async () => {
    const handler: Handler = ({ isTls }, response) => response.send(ok, String(isTls))
    const served = await serve(make, handler, { tls: testTls })
    const client = await served.connect()
    await client.request('GET', '/')
    expect(String((await client.readResponse()).body)).toBe('true')
  })

  test('a port in use, a foreign address and bad TLS files are explained', async () => {
    const served = await address()
    const fails = (listen: Promise<number>) =>
      listen.then(
        () => '',
        (error: Error) => error.message,
      )
    const { engine, port } = served
    expect(await fails(engine.listen({ host: '', port }))).toMatch(/in use/)
    expect(await fails(engine.listen({ host: '192.0.2.1', port: 0 }))).toMatch(/does not have/)
    const noCert = { cert: 'none.pem', key: testTls.key }
    expect(await fails(engine.listen({ host: '', port: 0, tls: noCert }))).toMatch(/none\.pem/)
    const swapped = { cert: testTls.key, key: testTls.cert }
    expect(await fails(engine.listen({ host: '', port: 0, tls: swapped }))).toMatch(/do not work/)
    expect(String((await fetchRaw(port, 'GET', '/')).body)).toBe('127.0.0.1 false')
  })

  test('counts connections and requests', async () => {
    const go = deferred()
    const served = await serve(make, async (_request, response) => {
      await go.promise
      response.send(ok, '')
    })
    const clients = await Promise.all([served.connect(), served.connect(), served.connect()])
    await until(() => served.engine.openConnections === 3)
    await clients[0]!.request('GET', '/')
    await until(() => served.engine.openRequests === 1)
    go.resolve()
    await clients[0]!.readResponse()
    await until(() => served.engine.openRequests === 0)
    for (const client of clients) client.close()
    await until(() => served.engine.openConnections === 0)
  })

  test('stopListening refuses the new and lets the running finish', async () => {
    const go = deferred()
    const bytes = pattern(8 * MiB)
    const started: string[] = []
    const served = await serve(make, async (request, response) => {
      started.push(request.path)
      await go.promise
      if (request.path === '/stream') response.stream(ok, new MemorySource(bytes))
      else if (request.path === '/head') response.sendHead(ok, 7)
      else response.send(ok, 'last')
    })
    const paths = ['/send', '/stream', '/head']
    const clients = await Promise.all(paths.map(() => served.connect()))
    await Promise.all(
      paths.map((path, index) => clients[index]!.request(path === '/head' ? 'HEAD' : 'GET', path)),
    )
    await until(() => started.length === paths.length)
    served.engine.stopListening()
    expect(await connectError(served.port)).toBe('ECONNREFUSED')
    go.resolve()
    for (const [index, path] of paths.entries()) {
      const method = path === '/head' ? 'HEAD' : 'GET'
      const answer = await clients[index]!.readResponse(method)
      expect(answer.headers.get('connection')).toBe('close')
      if (path === '/stream') expect(answer.body.equals(bytes)).toBe(true)
    }
    await until(() => served.engine.openRequests === 0)
    served.engine.close()
    for (const client of clients) await client.readToEnd()
    await until(() => served.engine.openConnections === 0)
  })

  test('close cuts what is open', async () => {
    const seen = deferred<AbortSignal>()
    const served = await serve(make, async (request) => {
      const { signal } = request
      seen.resolve(signal)
      await aborted(signal)
    })
    const client = await served.connect()
    await client.request('GET', '/')
    const signal = await seen.promise
    const idle = await RawClient.connect(served.port)
    await until(() => served.engine.openConnections === 2)
    served.engine.close()
    await aborted(signal)
    expect((await client.readToEnd()).length).toBe(0)
    await idle.readToEnd()
    idle.close()
    await until(() => served.engine.openConnections === 0)
    expect(await connectError(served.port)).toBe('ECONNREFUSED')
    expect(served.exchanges).toMatchObject([{ state: 'aborted' }])
  })
}
