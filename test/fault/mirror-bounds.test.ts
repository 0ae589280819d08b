/**
 * With the settings as they come: whatever an upstream does with its time, a client hears something
 * within 40 s of its request, whatever it asks for, first, late or again.
 */
import { request as httpRequest, type RequestOptions } from 'node:http'
import { describe, expect, test } from 'vitest'
import { FAULTS, type Fault, FaultyUpstream } from '../support/faulty-upstream.ts'
import { dispose, startInProcess } from '../support/in-process.ts'
import { imageManifest, sha256, someBytes } from '../support/registry-client.ts'

const boundMs = 40_000
const large = someBytes(3_000_000, 1)
const small = someBytes(10_000, 2)
const config = { mediaType: 'application/x', digest: sha256('{}'), size: 2 }
const manifest = JSON.stringify(imageManifest(config, []))

/** The head and half of each body, whatever is asked for, then nothing. */
const halves: Fault = (request, response, content) => {
  const bytes = content?.bytes ?? Buffer.from('{"name":"app","tags":["v1"]}')
  const from = Number(/^bytes=(\d+)/.exec(request.headers.range ?? '')?.[1] ?? 0)
  const rest = bytes.subarray(from)
  response.writeHead(from === 0 ? 200 : 206, {
    'Content-Length': rest.byteLength,
    'Content-Type': content?.type ?? 'application/json',
    ...(from === 0
      ? {}
      : { 'Content-Range': `bytes ${from}-${bytes.byteLength - 1}/${bytes.byteLength}` }),
  })
  if (request.method === 'HEAD') response.end()
  else response.write(rest.subarray(0, rest.byteLength >> 1))
  return true
}

/** Wants a token, whose server sends half of it. */
const halfTokens: Fault = (request, response) => {
  if (request.url!.startsWith('/token')) {
    response.writeHead(200, { 'Content-Length': 100 }).write('{"token":"x')
    return true
  }
  const realm = `http://${request.headers.host}/token`
  response.writeHead(401, { 'WWW-Authenticate': `Bearer realm="${realm}"` }).end()
  return true
}

/** A refusal that does not end. */
const halfRefusals: Fault = (_request, response) => {
  response.writeHead(500, { 'Content-Length': 1000 }).write('{"errors":')
  return true
}

/** A byte of the head at a time. */
const slowHeads: Fault = (request) => {
  const { socket } = request
  socket.write('HTTP/1.1 200 OK\r\nX: ')
  const timer = setInterval(() => socket.write('x'), 500)
  socket.on('close', () => clearInterval(timer))
  return true
}

/** The status, as soon as the head is there; of later bytes nobody promises anything. */
function statusOf(options: RequestOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', ...options }, (response) => {
      resolve(response.statusCode!)
      response.destroy()
    })
    request.on('error', reject)
    request.end()
  })
}

describe.concurrent('an upstream that', () => {
  test.each<[string, Fault]>([
    ['says nothing', FAULTS.silence],
    ['sends half of every body', halves],
    ['sends half of every token', halfTokens],
    ['sends half of every refusal', halfRefusals],
    ['never ends its head', slowHeads],
  ])(
    '%s',
    async (_name, fault) => {
      const upstream = new FaultyUpstream()
      await upstream.start()
      for (const bytes of [large, small]) upstream.addBlob('app', bytes)
      for (const tag of ['v1', 'v2']) upstream.addManifest('app', tag, manifest)
      upstream.fault = fault
      const registry = await startInProcess({
        engine: 'uws',
        mirrors: [{ name: 'hub', upstream: upstream.url }],
      })
      const slowest: string[] = []
      const asking: Promise<void>[] = []
      const ask = (tail: string, range?: string, method = 'GET') => {
        const started = performance.now()
        const headers = range === undefined ? {} : { Range: range }
        const path = `/v2/hub/app/${tail}`
        const status = statusOf({ port: registry.port, path, method, headers, agent: false })
        asking.push(
          status.then((it) => {
            const ms = performance.now() - started
            if (ms > boundMs) slowest.push(`${it} ${tail} after ${ms}`)
            if (it >= 400) expect([502, 503, 504], tail).toContain(it)
          }),
        )
      }
      const everything = () => {
        ask('manifests/v1')
        ask('manifests/v2', undefined, 'HEAD')
        ask(`manifests/${sha256(manifest)}`)
        ask(`manifests/${sha256(manifest)}`, undefined, 'HEAD')
        ask(`blobs/${sha256(small)}`)
        ask(`blobs/${sha256(large)}`, 'bytes=-65536')
        ask(`blobs/${sha256(large)}`, 'bytes=2000000-2000009')
        ask(`blobs/${sha256(large)}`, undefined, 'HEAD')
        ask('tags/list')
        ask(`referrers/${sha256(manifest)}`)
      }
      everything()
      // Whoever joins late has as long as whoever was first.
      await new Promise((resolve) => setTimeout(resolve, 20_000))
      everything()
      await Promise.all(asking)
      expect(slowest).toEqual([])
      await dispose(registry)
      await upstream.stop()
    },
    120_000,
  )
})
