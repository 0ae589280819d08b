/**
 * The fault table of mirrors: every way in which an upstream fails, times what a client may ask for.
 * What is cached is answered within a second; what is not is refused with a status that says whose
 * fault it is, and nothing wrong is stored; once upstream has healed everything is served again.
 */
import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { FAULTS, type Fault, FaultyUpstream } from '../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess, until } from '../support/in-process.ts'
import {
  type Answer,
  errorsOf,
  imageManifest,
  sha256,
  someBytes,
} from '../support/registry-client.ts'

const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const layers = { stored: someBytes(300_000, 1), absent: someBytes(400_000, 2) }
const timeouts = { connect: '500ms', first_byte: '600ms', stall: '500ms' }

let upstream: FaultyUpstream
let registry: InProcessRegistry

afterEach(async () => {
  upstream.fault = undefined
  await dispose(registry)
  await upstream.stop()
})

function manifestOf(seed: string): string {
  const config = {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: sha256('{}'),
    size: 2,
  }
  return JSON.stringify(imageManifest(config, [], { annotations: { seed } }))
}

async function begin(): Promise<void> {
  upstream = new FaultyUpstream()
  await upstream.start()
  for (const tag of ['fresh', 'expired', 'never', 'head']) {
    upstream.addManifest('app', tag, manifestOf(tag))
  }
  upstream.addManifest('app', undefined, manifestOf('digest'))
  upstream.addManifest('app', undefined, manifestOf('absent'))
  upstream.addBlob('app', layers.stored)
  upstream.addBlob('app', layers.absent)
  registry = await startInProcess({
    engine: 'uws',
    mirrors: [
      {
        name: 'hub',
        upstream: upstream.url,
        timeouts,
        tags: [{ pattern: 'expired', freshness: 'always' }],
      },
    ],
  })
  const seeded = [
    'manifests/fresh',
    'manifests/expired',
    `manifests/${sha256(manifestOf('digest'))}`,
    `blobs/${sha256(layers.stored)}`,
  ]
  for (const tail of seeded) expect((await ask(tail)).status, tail).toBe(200)
  await until(async () => (await registry.uploadFiles()).length === 0)
}

function ask(tail: string, headers: Record<string, string> = {}): Promise<Answer> {
  return registry.client.get(`/v2/hub/app/${tail}`, headers)
}

/** The answer and how long it took. */
async function timed(work: Promise<Answer>): Promise<Answer & { ms: number }> {
  const started = performance.now()
  const answer = await work
  return Object.assign(answer, { ms: performance.now() - started })
}

/** Status of a refusal, or `cut` for an answer that was broken off. */
async function outcome(work: Promise<Answer>): Promise<string> {
  try {
    const answer = await work
    if (answer.status < 400) return `${answer.status}`
    const [error] = errorsOf(answer)
    return `${answer.status} ${(error!.detail as { failure?: string } | null)?.failure ?? error!.code}`
  } catch {
    return 'cut'
  }
}

async function expectCachedAnswers(): Promise<void> {
  const [fresh, expired, digest, blob, range, head] = await Promise.all([
    timed(ask('manifests/fresh')),
    timed(ask('manifests/expired')),
    timed(ask(`manifests/${sha256(manifestOf('digest'))}`)),
    timed(ask(`blobs/${sha256(layers.stored)}`)),
    timed(ask(`blobs/${sha256(layers.stored)}`, { Range: 'bytes=10-19' })),
    timed(registry.client.head('/v2/hub/app/manifests/expired')),
  ])
  expect(fresh.text).toBe(manifestOf('fresh'))
  expect(fresh.headers['x-fastregistry-cache']).toBeUndefined()
  expect(expired.text).toBe(manifestOf('expired'))
  expect(expired.headers['x-fastregistry-cache']).toBe('stale')
  expect(expired.headers['warning']).toMatch(/^299 - "/)
  expect(digest.text).toBe(manifestOf('digest'))
  expect(sha256(blob.body)).toBe(sha256(layers.stored))
  expect(range.status).toBe(206)
  expect(range.body).toEqual(layers.stored.subarray(10, 20))
  expect(head.headers['docker-content-digest']).toBe(sha256(manifestOf('expired')))
  const slowest = Math.max(...[fresh, expired, digest, blob, range, head].map(({ ms }) => ms))
  expect(slowest).toBeLessThan(1000)
}

async function expectNothingWrongStored(): Promise<void> {
  await until(async () => (await registry.uploadFiles()).length === 0)
  expect(await registry.blobFiles()).toEqual([sha256(layers.stored).slice(7)])
}

async function expectHealed(): Promise<void> {
  const started = performance.now()
  const all = () =>
    Promise.all([
      outcome(ask('manifests/never')),
      outcome(ask(`manifests/${sha256(manifestOf('absent'))}`)),
      outcome(ask(`blobs/${sha256(layers.absent)}`)),
    ])
  await until(async () => (await all()).every((status) => status === '200'))
  const blob = await ask(`blobs/${sha256(layers.absent)}`)
  expect(sha256(blob.body)).toBe(sha256(layers.absent))
  const isFresh = async () =>
    (await ask('manifests/expired')).headers['x-fastregistry-cache'] === undefined
  await until(isFresh)
  expect(performance.now() - started).toBeLessThan(20_000)
}

/** What every request for something absent comes to. */
async function absent(): Promise<Record<string, string>> {
  const blob = `blobs/${sha256(layers.absent)}`
  const digest = `manifests/${sha256(manifestOf('absent'))}`
  const head = (tail: string) =>
    registry.client.head(`/v2/hub/app/${tail}`).then(({ status }) => `${status}`)
  const [tag, byDigest, whole, range, headBlob, headTag] = await Promise.all([
    outcome(ask('manifests/never')),
    outcome(ask(digest)),
    outcome(ask(blob)),
    outcome(ask(blob, { Range: 'bytes=0-99' })),
    head(blob),
    head('manifests/head'),
  ])
  return { tag, byDigest, whole, range, headBlob, headTag }
}

describe('an upstream that answers no request', () => {
  const table: readonly (readonly [
    name: string,
    fault: Fault | 'stop',
    status: string,
    as: string,
  ])[] = [
    ['refuses connections', 'stop', '502', 'refused'],
    ['resets connections', FAULTS.reset, '502', 'reset'],
    ['says nothing', FAULTS.silence, '504', 'timeout'],
    ['answers 401', FAULTS.unauthorized, '502', 'auth'],
    ['answers 403', FAULTS.forbidden, '502', 'auth'],
    ['answers 429', FAULTS.limited, '502', 'limited'],
    ['answers 500', FAULTS.broken, '502', 'server'],
    ['answers 503 with a page', FAULTS.unavailable, '502', 'server'],
    ['answers web pages with 200', FAULTS.html, '502', 'garbage'],
    ['redirects in a circle', FAULTS.redirectLoop, '502', 'redirect'],
    ['redirects to a metadata address', FAULTS.toMetadata, '502', 'redirect'],
    ['compresses although not asked', FAULTS.gzip, '502', 'garbage'],
  ]

  test.each(table)('%s', async (_name, fault, status, failure) => {
    await begin()
    if (fault === 'stop') await upstream.stop()
    else upstream.fault = fault
    await expectCachedAnswers()
    const { headBlob, headTag, ...bodies } = await absent()
    for (const [what, came] of Object.entries(bodies)) {
      // Once a host has failed often enough it is not asked any more, which is a 502 as well.
      expect([`${status} ${failure}`, '502 circuit'], what).toContain(came)
    }
    expect([headBlob, headTag].every((it) => it === '502' || it === status)).toBe(true)
    await expectNothingWrongStored()
    await expectCachedAnswers()
    if (fault === 'stop') await upstream.start()
    upstream.fault = undefined
    await expectHealed()
  })
})

describe('an upstream whose bodies are wrong', () => {
  const table: readonly (readonly [string, Fault, readonly string[]])[] = [
    ['other bytes', FAULTS.wrongBytes, ['cut']],
    ['a body that breaks off each time', FAULTS.short, ['cut']],
    ['too short a length', FAULTS.wrongLength, ['cut']],
    ['no length and no end', FAULTS.endless, ['cut']],
    ['a byte now and then', FAULTS.drip, ['cut']],
  ]

  test.each(table)(
    '%s',
    async (_name, fault, allowed) => {
      await begin()
      upstream.fault = (request, response, content) =>
        request.url?.includes('/blobs/') === true && fault(request, response, content)
      const blob = `blobs/${sha256(layers.absent)}`
      const [whole, second] = await Promise.all([outcome(ask(blob)), outcome(ask(blob))])
      expect(allowed).toContain(whole)
      expect(allowed).toContain(second)
      await expectNothingWrongStored()
      upstream.fault = undefined
      await expectHealed()
    },
    90_000,
  )

  test('a manifest of another digest is refused and not stored', async () => {
    await begin()
    upstream.fault = FAULTS.wrongBytes
    expect(await outcome(ask('manifests/never'))).toBe('502 garbage')
    expect(await outcome(ask(`manifests/${sha256(manifestOf('absent'))}`))).toBe('502 garbage')
    upstream.fault = undefined
    await expectHealed()
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
    const tls = new FaultyUpstream({
      tls: {
        cert: readFileSync(new URL('../support/tls/cert.pem', import.meta.url), 'utf8'),
        key: readFileSync(new URL('../support/tls/key.pem', import.meta.url), 'utf8'),
      },
    })
    await tls.start()
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
      await expectCachedAnswers()
      expect(await outcome(ask('manifests/never'))).toBe(`502 ${failure}`)
      await again.stop()
    }
    await tls.stop()
  })
})

test('the type of the stored manifest is the one that upstream sent', async () => {
  await begin()
  expect((await ask('manifests/fresh')).headers['content-type']).toBe(manifestType)
})
