/**
 * @module Every write step of each push style fails in every way: the client hears the right status,
 * nothing is acknowledged that is not there, no session is stuck, and everything works again when
 * the fault is over.
 */
import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Fault, FaultyRegistry } from './faulty-registry.ts'

const SIZE = 1_500_000

let faulty: FaultyRegistry
beforeAll(async () => {
  faulty = await FaultyRegistry.start()
})
afterAll(async () => {
  expect(await faulty.stop()).toBe(0)
})

interface Pushed {
  readonly status: number
  readonly text: string
  readonly headers: Readonly<Record<string, string | undefined>>
  /** Session to cancel, when one may be left. */
  readonly location?: string
}

/** The push styles. Each resolves to the first answer that is no success, or the last one. */
const STYLES: Record<string, (bytes: Buffer, digest: string) => Promise<Pushed>> = {
  'POST with the digest': async (body, digest) =>
    faulty.client.request('POST', `/v2/f/a/blobs/uploads/?digest=${digest}`, { body }),
  'POST, PUT': async (body, digest) => {
    const { location } = await open()
    const put = await faulty.client.request('PUT', `${location}?digest=${digest}`, { body })
    return at(put, location)
  },
  'POST, PATCH with ranges, PUT': async (body, digest) => {
    const { location } = await open()
    const half = body.byteLength / 2
    for (const [start, end] of [
      [0, half],
      [half, body.byteLength],
    ] as const) {
      const patch = await faulty.client.request('PATCH', location, {
        body: body.subarray(start, end),
        headers: { 'Content-Range': `${start}-${end - 1}` },
      })
      if (patch.status !== 202) return at(patch, location)
    }
    return at(await faulty.client.request('PUT', `${location}?digest=${digest}`), location)
  },
  'POST, streamed PATCH, PUT': async (body, digest) => {
    const { location } = await open()
    const patch = await faulty.client.request('PATCH', location, { body, isChunked: true })
    if (patch.status !== 202) return at(patch, location)
    return at(await faulty.client.request('PUT', `${location}?digest=${digest}`), location)
  },
}

async function open(): Promise<{ location: string }> {
  const { headers, status } = await faulty.client.request('POST', '/v2/f/a/blobs/uploads/')
  expect(status).toBe(202)
  return { location: headers['location']! }
}

function at({ status, text, headers }: Pushed, location: string): Pushed {
  return { status, text, headers, location }
}

interface FaultCase extends Fault {
  readonly status: number | readonly number[]
}

/** What a client may hear of each fault of one write step. */
const FAULTS: readonly FaultCase[] = [
  { call: 'write', kind: 'error', errno: 'ENOSPC', status: 507 },
  { call: 'write', kind: 'error', errno: 'EIO', status: 500 },
  { call: 'flush', kind: 'error', errno: 'EIO', status: 500 },
  { call: 'flush', kind: 'error', errno: 'ENOSPC', status: 507 },
  { call: 'rename', kind: 'error', errno: 'EIO', status: 500 },
  { call: 'rename', kind: 'error', errno: 'ENOSPC', status: 507 },
  { call: 'flushFolder', kind: 'error', errno: 'EIO', status: 500 },
  { call: 'open', kind: 'error', errno: 'EMFILE', status: 503 },
  { call: 'open', kind: 'error', errno: 'EIO', status: 500 },
  { call: 'write', kind: 'exit', status: 500 },
  { call: 'flush', kind: 'exit', status: 500 },
  { call: 'rename', kind: 'exit', status: 500 },
]

async function isReadable(digest: string): Promise<boolean> {
  return (await faulty.client.request('HEAD', `/v2/f/a/blobs/${digest}`)).status === 200
}

/** Answers of 500 and above that the metrics know of. */
async function failuresCounted(): Promise<number> {
  const { text } = await faulty.client.request('GET', '/metrics')
  const counts = text.matchAll(
    /^fastregistry_http_requests_total\{[^}]*status="5\d\d"[^}]*\} (\d+)$/gm,
  )
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}

async function expectService(style: (typeof STYLES)[string]): Promise<void> {
  const body = randomBytes(SIZE)
  const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
  expect(await style(body, digest)).toMatchObject({ status: 201 })
  const read = await faulty.client.request('GET', `/v2/f/a/blobs/${digest}`)
  expect(read.body.equals(body)).toBe(true)
  expect((await faulty.client.request('GET', '/healthz')).status).toBe(200)
}

describe.each(Object.entries(STYLES))('%s', (_name, style) => {
  test.each(FAULTS)('$call: $kind $errno is answered $status', async (fault) => {
    const body = randomBytes(SIZE)
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
    const failuresBefore = await failuresCounted()
    await faulty.break(fault)
    const pushed = await style(body, digest)
    expect(await faulty.mend(), 'the fault was met').toBe(0)
    expect([fault.status].flat()).toContain(pushed.status)
    // The metrics say so, and a registry whose disk failed once is not called ill.
    expect(await failuresCounted()).toBe(failuresBefore + 1)
    expect((await faulty.client.request('GET', '/healthz')).status).toBe(200)
    const { errors, requestId } = JSON.parse(pushed.text)
    expect(errors[0]).toMatchObject({ code: expect.any(String), message: expect.any(String) })
    expect(requestId).toEqual(expect.any(String))
    expect(pushed.text).not.toMatch(/injected|\/uploads\/|\.ts:|\.js:/)
    if (pushed.status === 503) expect(pushed.headers['retry-after']).toBeDefined()
    expect(await isReadable(digest), 'nothing was acknowledged').toBe(false)

    // The same bytes again, on the session that is left or on a new one.
    if (pushed.location !== undefined) {
      const cancelled = await faulty.client.request('DELETE', pushed.location)
      expect([204, 404]).toContain(cancelled.status)
    }
    expect(await style(body, digest)).toMatchObject({ status: 201 })
    const read = await faulty.client.request('GET', `/v2/f/a/blobs/${digest}`)
    expect(read.body.equals(body)).toBe(true)
    expect(await faulty.uploads()).toEqual([])
  })

  test('a write that takes only half of the bytes is gone on with', async () => {
    await faulty.break({ call: 'write', kind: 'short' }, 3)
    await expectService(style)
    expect(await faulty.mend()).toBe(0)
  })

  test('a disk that hangs for seconds delays its own upload and nobody else', async () => {
    const body = randomBytes(SIZE)
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
    await faulty.break({ call: 'write', kind: 'hang', ms: 3_000 })
    let isDone = false
    const hanging = style(body, digest).then((pushed) => {
      isDone = true
      return pushed
    })
    while ((await faulty.uploads()).length === 0) await faulty.client.request('GET', '/v2/')
    const startedAt = performance.now()
    for (let count = 0; count < 50; count += 1) {
      expect((await faulty.client.request('GET', '/v2/')).status).toBe(200)
    }
    expect(performance.now() - startedAt).toBeLessThan(2_000)
    expect(isDone).toBe(false)
    expect(await hanging).toMatchObject({ status: 201 })
  })
})

describe('the metadata', () => {
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [],
  })
  const putManifest = (tag: string) =>
    faulty.client.request('PUT', `/v2/f/m/manifests/${tag}`, {
      body: manifest,
      headers: { 'Content-Type': 'application/vnd.oci.image.index.v1+json' },
    })

  test.each([
    { errno: 'ENOSPC', status: 507 },
    { errno: 'MDB_MAP_FULL', status: 507 },
    { errno: 'EIO', status: 500 },
  ])('a commit that fails with $errno is answered $status and changes nothing', async (row) => {
    const tag = `t${row.errno}`
    await faulty.break({ call: 'writeSync', kind: 'error', errno: row.errno })
    expect((await putManifest(tag)).status).toBe(row.status)
    expect((await faulty.client.request('GET', `/v2/f/m/manifests/${tag}`)).status).toBe(404)
    await faulty.mend()
    expect((await putManifest(tag)).status).toBe(201)
  })

  test('a writer that dies is started again; meanwhile writes hear 503 and reads go on', async () => {
    expect((await putManifest('kept')).status).toBe(201)
    await faulty.break({ call: 'writeSync', kind: 'exit' })
    expect((await putManifest('lost')).status).toBe(500)
    expect((await faulty.client.request('GET', '/v2/f/m/manifests/kept')).status).toBe(200)
    let answer = await putManifest('lost')
    for (let attempt = 0; answer.status !== 201 && attempt < 200; attempt += 1) {
      expect(answer.status).toBe(503)
      expect(answer.headers['retry-after']).toBeDefined()
      await new Promise((resolve) => setTimeout(resolve, 20))
      answer = await putManifest('lost')
    }
    expect(answer.status).toBe(201)
    expect((await faulty.client.request('GET', '/healthz')).status).toBe(200)
  })
})

describe('reading', () => {
  test('a disk that cannot read breaks the answer off, and never ends it as if all were there', async () => {
    const reading = await FaultyRegistry.start({ storage: { reader: 'file' } })
    try {
      const body = randomBytes(SIZE)
      const { digest } = await reading.client.pushBlob('f/r', body)
      const path = `/v2/f/r/blobs/${digest}`
      await reading.break({ call: 'read', kind: 'error', errno: 'EIO' })
      const answer = await reading.client.get(path).catch((error: unknown) => String(error))
      if (typeof answer !== 'string') {
        expect(answer.status).toBe(500)
        expect(JSON.parse(answer.text)).toMatchObject({ requestId: expect.any(String) })
      }
      expect(await reading.mend(), 'the fault was met').toBe(0)
      expect((await reading.client.get(path)).body.equals(body)).toBe(true)
      // A disk that fails is no damage: the blob stays in service.
      expect((await reading.client.get('/admin/status')).json).toMatchObject({
        quarantinedBlobs: 0,
      })
    } finally {
      expect(await reading.stop()).toBe(0)
    }
  })
})

test.each(['at once', 'one after the other'])(
  'threads that cannot start (%s) end the start, with words',
  async (how) => {
    const start = FaultyRegistry.start({}, { FASTREGISTRY_TEST_NO_WORKERS: how })
    await expect(start).rejects.toThrow(/cannot start: a worker thread cannot start: injected/)
  },
)
