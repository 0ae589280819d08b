/** @module The server's own pages over real sockets: index, health, metrics, status, listeners. */
import { describe, expect, test } from 'vitest'
import { describeRegistry } from '../../support/in-process.ts'
import { fetchRaw } from '../../support/raw-http.ts'
import { type Answer, refusal, sha256, someBytes } from '../../support/registry-client.ts'

/** Samples of the text format: `name{labels}` → value. */
function samples(answer: Answer): Map<string, number> {
  const lines = answer.text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ')
      return [line.slice(0, space), Number(line.slice(space + 1))]
    }),
  )
}

describeRegistry(
  'the service',
  { config: { server: { also_listen: '127.0.0.1:0' } } },
  (registry, engine) => {
    const get = (path: string) => registry().client.get(path)

    test('/ says what this is', async () => {
      const answer = await get('/')
      expect(answer.status).toBe(200)
      expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8')
      expect(answer.text).toContain('FastRegistry')
    })

    test.each(['/v2', '/v2/'])('%s answers the probe', async (path) => {
      for (const method of ['GET', 'HEAD']) {
        const answer = await registry().client.request(method, path)
        expect(answer.status).toBe(200)
        expect(answer.headers['docker-distribution-api-version']).toBe('registry/2.0')
        expect(answer.headers['content-type']).toBe('application/json')
        expect(answer.headers['content-length']).toBe('2')
      }
      expect((await get(path)).json).toEqual({})
    })

    test.each(['/health', '/healthz'])('%s says that all is well', async (path) => {
      const answer = await get(path)
      expect(answer.status).toBe(200)
      expect(answer.headers['cache-control']).toBe('no-store')
      expect(answer.json).toMatchObject({
        status: 'healthy',
        checks: { metadata: 'ok', disk: 'ok' },
      })
    })

    test.each(['/v2/_oci/ext/discover', '/v2/a/b/_oci/ext/discover'])(
      '%s finds none',
      async (path) => {
        expect((await get(path)).json).toEqual({ extensions: [] })
      },
    )

    test('OPTIONS of the server is answered, as load balancers ask it', async () => {
      for (const line of [
        'OPTIONS / HTTP/1.0\r\n',
        'OPTIONS / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n',
        'OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n',
      ]) {
        const client = await registry().connect()
        await client.send(`${line}\r\n`)
        const { status, headers } = await client.readHead()
        expect(status).toBe(204)
        expect(headers.get('allow')).toBe('GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS')
        expect((await client.readToEnd()).length).toBe(0)
      }
      expect((await registry().client.request('OPTIONS', '/v2/')).status).toBe(405)
    })

    test('what is no request is refused in JSON, at the beginning and later', async () => {
      const bad = [
        ['GET /v2/ HTTP/3.0\r\nHost: a\r\n\r\n', 505],
        ['GET /v2/ HTTP/1.1\r\n\r\n', 400],
        [`GET /v2/ HTTP/1.1\r\nHost: a\r\nX-A: ${'a'.repeat(70_000)}\r\n\r\n`, 431],
        ['CONNECT host:443 HTTP/1.1\r\nHost: host:443\r\n\r\n', 405],
      ] as const
      for (const [request, expected] of bad) {
        for (const isLater of [false, true]) {
          const client = await registry().connect()
          if (isLater) {
            await client.request('GET', '/v2/')
            await client.readResponse()
          }
          await client.send(request).catch(() => {})
          const { status, headers, body } = await client.readResponse()
          expect(isLater && expected === 405 ? 405 : status).toBe(expected)
          expect(headers.get('content-type')).toBe('application/json')
          expect(headers.get('connection')).toBe('close')
          expect(JSON.parse(String(body)).errors[0]).toMatchObject({ code: 'UNSUPPORTED' })
          await client.readToEnd()
        }
      }
    })

    test('/admin/status tells version, engine and what is open', async () => {
      await registry().client.open('app')
      const status = (await get('/admin/status')).json as Record<string, unknown>
      expect(status).toMatchObject({ status: 'running', engine, openUploads: 1 })
      expect(status['version']).toMatch(/^\d+\.\d+\.\d+/)
      expect(status['openConnections']).toBeGreaterThan(0)
      expect(status['uptimeSeconds']).toBeGreaterThanOrEqual(0)
    })

    test('/metrics counts requests, bytes, sessions and mappings', async () => {
      const { client } = registry()
      const before = samples(await get('/metrics'))
      const body = someBytes(300_000)
      await client.pushBlob('metered', body)
      await client.get(`/v2/metered/blobs/${sha256(body)}`)
      await client.get('/v2/metered/blobs/sha256:x')
      await client.pushImage('metered', 'v1')
      await client.head('/v2/metered/manifests/v1')
      await get('/admin/status')
      await get('/admin/no-such-thing')
      await get('/no/such/path')
      const after = samples(await get('/metrics'))
      const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0)
      const requests = (route: string, method: string, status: number) =>
        grown(
          `fastregistry_http_requests_total{route="${route}",method="${method}",status="${status}"}`,
        )
      expect(requests('blob', 'GET', 200)).toBe(1)
      expect(requests('blob', 'GET', 400)).toBe(1)
      expect(requests('uploads', 'POST', 202)).toBe(2)
      expect(requests('upload', 'PUT', 201)).toBe(2)
      expect(requests('manifest', 'PUT', 201)).toBe(1)
      expect(requests('manifest', 'HEAD', 200)).toBe(1)
      expect(requests('metrics', 'GET', 200)).toBe(1)
      expect(requests('admin', 'GET', 200)).toBe(1)
      expect(requests('admin', 'GET', 404)).toBe(1)
      expect(requests('none', 'GET', 404)).toBe(1)
      const duration = 'fastregistry_http_request_duration_seconds'
      expect(grown(`${duration}_count{route="blob"}`)).toBe(2)
      expect(grown(`${duration}_bucket{route="blob",le="+Inf"}`)).toBe(2)
      expect(grown(`${duration}_sum{route="blob"}`)).toBeGreaterThan(0)
      expect(grown('fastregistry_http_received_bytes_total')).toBeGreaterThanOrEqual(300_000)
      expect(grown('fastregistry_http_sent_bytes_total')).toBeGreaterThanOrEqual(300_000)
      expect(after.get('fastregistry_mapped_bytes')).toBe(300_000)
      expect(after.get('fastregistry_open_uploads')).toBe(1)
      expect(after.get('fastregistry_open_requests')).toBe(1)
      expect(after.get('fastregistry_open_connections')).toBeGreaterThan(0)
      for (const quantile of ['0.5', '0.99', '1']) {
        const delay = `fastregistry_event_loop_delay_seconds{quantile="${quantile}"}`
        expect(after.get(delay)).toBeGreaterThanOrEqual(0)
      }
      expect([...after.keys()].filter((it) => it.startsWith('fastregistry_info{'))).toHaveLength(1)
      expect(after.has('process_resident_memory_bytes')).toBe(true)
    })

    test('a second listener has the same routes', async () => {
      expect(registry().ports).toHaveLength(2)
      await registry().client.pushBlob('app', 'shared')
      const [, second = 0] = registry().ports
      const answer = await fetchRaw(second, 'GET', `/v2/app/blobs/${sha256('shared')}`)
      expect([answer.status, String(answer.body)]).toEqual([200, 'shared'])
    })

    test('requests behind one that is not answered yet end with their connection', async () => {
      const body = someBytes(20_000_000)
      await registry().client.pushBlob('app', body)
      const client = await registry().connect()
      const first = `GET /v2/app/blobs/${sha256(body)} HTTP/1.1\r\nHost: a\r\n\r\n`
      await client.send(first + 'GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3))
      await get('/v2/')
      client.abort()
      const openRequests = async () =>
        samples(await get('/metrics')).get('fastregistry_open_requests')
      // The one that asks.
      await expect.poll(openRequests, { timeout: 5_000 }).toBe(1)
    })

    test('one access-log line stands for each request, with its bytes', async () => {
      const before = registry().logLines.length
      await get('/v2/_catalog')
      await registry().client.head('/v2/')
      const lines = registry()
        .logLines.slice(before)
        .map((line) => JSON.parse(line) as object)
      const { length } = (await get('/v2/_catalog')).body
      expect(lines).toMatchObject([
        { event: 'request', method: 'GET', path: '/v2/_catalog', status: 200, bytes: length },
        { event: 'request', method: 'HEAD', path: '/v2/', status: 200, bytes: 0 },
      ])
    })
  },
)

describe('settings', () => {
  const config = { metrics: { enabled: false }, log: { access_sample: 5 } }
  describeRegistry(
    'without metrics and with a sampled log',
    { engines: ['uws'], config },
    (registry) => {
      test('/metrics is 404 and names the reason', async () => {
        const answer = await registry().client.get('/metrics')
        expect(refusal(answer)).toBe('404 UNSUPPORTED')
      })

      test('the log keeps one request in five and all that failed', async () => {
        const before = registry().logLines.length
        for (let round = 0; round < 10; round += 1) await registry().client.get('/v2/')
        await registry().client.get('/v2/none')
        const statuses = registry()
          .logLines.slice(before)
          .map((line) => (JSON.parse(line) as { status: number }).status)
        expect(statuses).toEqual([200, 200, 404])
      })
    },
  )
})
