/**
 * The fault table of mirrors: every way in which an upstream fails, times what a client may ask for.
 * What is cached is answered within a second; what is not is refused with a status that says whose
 * fault it is, and nothing wrong is stored; a blob that was half there is cut, never short; once
 * upstream has healed everything is served again. Rows run beside each other: most of it is waiting.
 */
import { readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { FAULTS, type Fault, FaultyUpstream } from '../support/faulty-upstream.ts'
import { type InProcessRegistry, startInProcess, until } from '../support/in-process.ts'
import { type Answer, sha256 } from '../support/registry-client.ts'
import { layers, manifestOf, outcome, Scene, timeouts } from './mirror-scene.ts'

const manifestType = 'application/vnd.oci.image.manifest.v1+json'

let tls: FaultyUpstream
beforeAll(async () => {
  const file = (name: string) =>
    readFileSync(new URL(`../support/tls/${name}`, import.meta.url), 'utf8')
  tls = new FaultyUpstream({ tls: { cert: file('cert.pem'), key: file('key.pem') } })
  await tls.start()
})
afterAll(() => tls.stop())

/** Sends every request to another host. */
const leadsTo =
  (base: () => string): Fault =>
  (request, response) => {
    response.writeHead(307, { Location: `${base()}${request.url}` }).end()
    return true
  }

/** Answers with a head and holds the body back. */
const stalls: Fault = (request, response, content) => {
  if (content === undefined || request.method === 'HEAD') return true
  response.writeHead(200, {
    'Content-Length': content.bytes.byteLength,
    'Content-Type': content.type,
  })
  response.flushHeaders()
  return true
}

describe('an upstream that fails every request', () => {
  const table: readonly (readonly [
    name: string,
    fault: Fault | 'stop',
    status: string,
    as: string,
  ])[] = [
    ['has a name that does not resolve', leadsTo(() => 'http://registry.invalid'), '502', 'dns'],
    ['shows a certificate of nobody', leadsTo(() => tls.url), '502', 'tls'],
    ['refuses connections', 'stop', '502', 'refused'],
    ['resets connections', FAULTS.reset, '502', 'reset'],
    ['says nothing', FAULTS.silence, '504', 'timeout'],
    ['stalls', stalls, '504', 'stall'],
    ['answers 401', FAULTS.unauthorized, '404', 'hidden'],
    ['answers 403', FAULTS.forbidden, '403', 'denied'],
    ['answers 429', FAULTS.limited, '502', 'limited'],
    ['answers 500', FAULTS.broken, '502', 'server'],
    ['answers 503 with a page', FAULTS.unavailable, '502', 'server'],
    ['answers web pages with 200', FAULTS.html, '502', 'garbage'],
    ['redirects in a circle', FAULTS.redirectLoop, '502', 'redirect'],
    ['redirects to a metadata address', FAULTS.toMetadata, '502', 'redirect'],
    ['compresses although not asked', FAULTS.gzip, '502', 'garbage'],
  ]

  test.concurrent.each(table)(
    '%s',
    async (_name, fault, status, failure) => {
      const scene = await Scene.begin()
      try {
        const half = await scene.halfStored()
        if (fault === 'stop') await scene.upstream.stop()
        else scene.use(fault)
        const halves = half.cut()
        await scene.expectCachedAnswers()
        const { headBlob, headTag, ...bodies } = await scene.absent()
        for (const [what, came] of Object.entries(bodies)) {
          // Once a host has failed often enough it is not asked any more, which is a 502 as well.
          expect([`${status} ${failure}`, '502 circuit'], what).toContain(came)
        }
        expect([headBlob, headTag].every((it) => it === '502' || it === status)).toBe(true)
        expect(await halves).toEqual(['cut', 'cut'])
        await scene.expectNothingWrongStored()
        // What was half there is as absent as the rest.
        const again = await outcome(scene.ask(`blobs/${sha256(layers.half)}`))
        expect([`${status} ${failure}`, '502 circuit']).toContain(again)
        await scene.expectCachedAnswers()
        if (fault === 'stop') await scene.upstream.start()
        scene.use(undefined)
        await scene.expectHealed()
      } finally {
        await scene.end()
      }
    },
    90_000,
  )
})

let upstream: FaultyUpstream
let registry: InProcessRegistry
let scene: Scene | undefined

afterEach(async () => {
  await scene?.end()
  scene = undefined
})

async function begin(): Promise<void> {
  scene = await Scene.begin()
  ;({ upstream, registry } = scene)
}

const ask = (tail: string, headers: Record<string, string> = {}): Promise<Answer> =>
  registry.client.get(`/v2/hub/app/${tail}`, headers)

describe('an upstream whose bodies are wrong', () => {
  const table: readonly (readonly [string, Fault, readonly string[]])[] = [
    ['other bytes', FAULTS.wrongBytes, ['cut']],
    ['a body that breaks off each time', FAULTS.short, ['cut']],
    ['too short a length', FAULTS.wrongLength, ['cut']],
    ['no length and no end', FAULTS.endless, ['cut']],
    ['a byte now and then', FAULTS.drip, ['cut']],
  ]

  /** Where it is not the content that is wrong. */
  const refusals: Readonly<Record<string, string>> = {
    'a body that breaks off each time': '502 reset',
    'a byte now and then': '504 stall',
  }

  test.each(table)(
    '%s',
    async (name, fault, allowed) => {
      await begin()
      upstream.fault = (request, response, content) =>
        request.url?.includes('/blobs/') === true && fault(request, response, content)
      const blob = `blobs/${sha256(layers.absent)}`
      const [whole, second] = await Promise.all([outcome(ask(blob)), outcome(ask(blob))])
      expect(allowed).toContain(whole)
      expect(allowed).toContain(second)
      // Nothing of a small one goes out before it is right.
      const small = await outcome(ask(`blobs/${sha256(layers.small)}`))
      expect(small).toBe(refusals[name] ?? '502 garbage')
      await scene!.expectNothingWrongStored()
      upstream.fault = undefined
      await scene!.expectHealed()
    },
    90_000,
  )

  test('a manifest of another digest is refused and not stored', async () => {
    await begin()
    upstream.fault = FAULTS.wrongBytes
    expect(await outcome(ask('manifests/never'))).toBe('502 garbage')
    expect(await outcome(ask(`manifests/${sha256(manifestOf('absent'))}`))).toBe('502 garbage')
    upstream.fault = undefined
    await scene!.expectHealed()
  })
})

describe('a blob that is half there', () => {
  test('goes on by Range after a cut, and every client gets it whole', async () => {
    await begin()
    let cuts = 0
    upstream.fault = (request, response, content) => {
      if (!request.url?.includes('/blobs/') || cuts === 2 || request.method === 'HEAD') return false
      cuts += 1
      if (request.headers.range !== undefined) return false
      return FAULTS.short(request, response, content)
    }
    const blob = `blobs/${sha256(layers.absent)}`
    const answers = await Promise.all([ask(blob), ask(blob), ask(blob, { Range: 'bytes=300000-' })])
    expect(sha256(answers[0].body)).toBe(sha256(layers.absent))
    expect(sha256(answers[1].body)).toBe(sha256(layers.absent))
    expect(answers[2].body).toEqual(layers.absent.subarray(300_000))
    const asked = upstream.asked.filter(
      ({ url, method }) => url.endsWith(sha256(layers.absent)) && method === 'GET',
    )
    expect(asked.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=200000-'])
  })

  test('takes 200 to a Range request for what it is', async () => {
    await begin()
    let isFirst = true
    upstream.fault = (request, response, content) => {
      if (!request.url?.includes('/blobs/')) return false
      if (isFirst) {
        isFirst = false
        return FAULTS.short(request, response, content)
      }
      response.writeHead(200, { 'Content-Length': content!.bytes.byteLength }).end(content!.bytes)
      return true
    }
    const answer = await ask(`blobs/${sha256(layers.absent)}`)
    expect(sha256(answer.body)).toBe(sha256(layers.absent))
  })

  test('is filled although its only client has left', async () => {
    await begin()
    upstream.bytesPerSecond = 400_000
    const raw = await registry.connect()
    await raw.send(`GET /v2/hub/app/blobs/${sha256(layers.absent)} HTTP/1.1\r\nHost: x\r\n\r\n`)
    await until(() => upstream.count('GET', sha256(layers.absent)) === 1)
    raw.close()
    await until(async () => (await registry.blobFiles()).length === 2)
    expect(upstream.count('GET', sha256(layers.absent))).toBe(1)
  })
})

describe('hosts', () => {
  test('a name that does not resolve and one with a wrong certificate leave the cache alone', async () => {
    await begin()
    const { folder } = registry
    await registry.stop()
    for (const [url, failure] of [
      ['http://registry.invalid', 'dns'],
      [tls.url, 'tls'],
    ] as const) {
      const again = await startInProcess({
        engine: 'uws',
        folder,
        mirrors: [
          {
            name: 'hub',
            upstream: url,
            timeouts,
            tags: [{ pattern: 'expired', freshness: 'always' }],
          },
        ],
      })
      registry = again
      scene!.registry = again
      await scene!.expectCachedAnswers()
      expect(await outcome(ask('manifests/never'))).toBe(`502 ${failure}`)
      await again.stop()
    }
  })
})

test('the type of the stored manifest is the one that upstream sent', async () => {
  await begin()
  expect((await ask('manifests/fresh')).headers['content-type']).toBe(manifestType)
})
