/** @module Upload sessions over real sockets: chunks out of order, wrong lengths, aborts, cancels. */
import { expect, test } from 'vitest'
import { describeRegistry, type InProcessRegistry, until } from '../../support/in-process.ts'
import {
  type Answer,
  errorsOf,
  expectStatus,
  refusal,
  sha256,
  someBytes,
} from '../../support/registry-client.ts'

const KiB = 1024

/** Sends the head of a PATCH and part of its body, then leaves without a goodbye. */
async function abortedPatch(
  registry: InProcessRegistry,
  location: string,
  sent: Buffer,
  lines: readonly string[],
): Promise<void> {
  const client = await registry.connect()
  await client.send(`PATCH ${location} HTTP/1.1\r\nHost: a\r\n${lines.join('\r\n')}\r\n\r\n`)
  await client.send(sent)
  const openBefore = registry.logLines.length
  // The status answers while the body is on its way: the server has seen the head by then.
  await registry.client.get(location)
  client.abort()
  await until(() => registry.logLines.slice(openBefore).some((it) => it.includes('"aborted":true')))
}

const rangeOf = async (registry: InProcessRegistry, location: string) => {
  const answer = await registry.client.get(location)
  expectStatus(answer, 204, 'status')
  expect(answer.headers['location']).toBe(location)
  return answer.headers['range']
}

describeRegistry('an upload session', {}, (registry) => {
  const patch = (location: string, body: Buffer | string, range?: string): Promise<Answer> =>
    registry().client.request('PATCH', location, {
      body,
      ...(range === undefined ? {} : { headers: { 'Content-Range': range } }),
    })

  test('starts with a plain Location and the range that docker needs', async () => {
    const answer = await registry().client.request('POST', '/v2/team/app/blobs/uploads/')
    expect(answer.status).toBe(202)
    expect(answer.headers['location']).toMatch(/^\/v2\/team\/app\/blobs\/uploads\/[0-9a-f]{32}$/)
    expect(answer.headers['range']).toBe('0-0')
    expect(answer.headers['content-length']).toBe('0')
    expect(answer.headers['docker-distribution-api-version']).toBe('registry/2.0')
    const status = await registry().client.head(answer.headers['location']!)
    expect(status.status).toBe(204)
    expect(status.headers['range']).toBe('0-0')
  })

  test.each([100, 100 * KiB])(
    'of %i bytes refuses a chunk out of order and stays alive',
    async (size) => {
      const body = someBytes(size)
      const location = await registry().client.open('app')
      const expectRefused = async (answer: Answer, range: string) => {
        expect(refusal(answer)).toBe('416 BLOB_UPLOAD_INVALID')
        expect(answer.headers['location']).toBe(location)
        expect(answer.headers['range']).toBe(range)
        expect(answer.headers['docker-upload-uuid']).toBe(location.split('/').at(-1))
        expect(await rangeOf(registry(), location)).toBe(range)
      }
      await expectRefused(await patch(location, body, `5-${size + 4}`), '0-0')
      expectStatus(await patch(location, body, `0-${size - 1}`), 202, 'first chunk')
      const stands = `0-${size - 1}`
      await expectRefused(await patch(location, body, `0-${size - 1}`), stands)
      await expectRefused(await patch(location, body, `${size + 1}-${2 * size}`), stands)
      const put = (range: string) =>
        registry().client.request('PUT', `${location}?digest=${sha256(body)}`, {
          headers: { 'Content-Range': range },
          body,
        })
      await expectRefused(await put(`0-${size - 1}`), stands)
      // The same URL with its query asks for the status too.
      const status = await registry().client.get(`${location}?digest=${sha256(body)}`)
      expect(status.headers['range']).toBe(stands)
      const done = await registry().client.request('PUT', `${location}?digest=${sha256(body)}`)
      expectStatus(done, 201, 'finish')
    },
  )

  test.each(['x', '5-4', 'bytes=a-b', '-5', '5-', '0-99999999999999999999', '0-1-2'])(
    'refuses the malformed Content-Range %s',
    async (range) => {
      const location = await registry().client.open('app')
      expect(refusal(await patch(location, 'ab', range))).toBe('416 BLOB_UPLOAD_INVALID')
      expect(await rangeOf(registry(), location)).toBe('0-0')
    },
  )

  test('takes Content-Range as HTTP writes it too', async () => {
    const location = await registry().client.open('app')
    expectStatus(await patch(location, 'ab', 'bytes 0-1/*'), 202, 'first')
    expectStatus(await patch(location, 'cd', 'bytes=2-3'), 202, 'second')
    const done = await registry().client.request('PUT', `${location}?digest=${sha256('abcd')}`)
    expectStatus(done, 201, 'finish')
  })

  test.each([
    ['shorter, with a length', 10, false],
    ['longer, with a length', 12, false],
    ['shorter, chunked', 10, true],
    ['longer, chunked', 12, true],
  ])('rolls back a body that is %s than its Content-Range', async (_name, length, isChunked) => {
    for (const scale of [1, 20 * KiB]) {
      const location = await registry().client.open('app')
      expectStatus(await patch(location, someBytes(5 * scale)), 202, 'first chunk')
      const answer = await registry().client.request('PATCH', location, {
        headers: { 'Content-Range': `${5 * scale}-${16 * scale - 1}` },
        body: someBytes(length * scale, 9),
        isChunked,
      })
      expect(refusal(answer)).toBe('400 SIZE_INVALID')
      expect(await rangeOf(registry(), location)).toBe(`0-${5 * scale - 1}`)
      const whole = Buffer.concat([someBytes(5 * scale), someBytes(11 * scale, 3)])
      expectStatus(
        await patch(location, someBytes(11 * scale, 3), `${5 * scale}-${16 * scale - 1}`),
        202,
        'the right chunk',
      )
      const target = `${location}?digest=${sha256(whole)}`
      expectStatus(await registry().client.request('PUT', target), 201, 'finish')
    }
  })

  test.each([
    ['small', 20_000, ['Content-Length: 60000']],
    ['large', 300_000, ['Content-Length: 900000']],
    ['large, of unknown length', 300_000, ['Transfer-Encoding: chunked']],
  ])('forgets a %s stream that broke off, and a full retry succeeds', async (name, sent, lines) => {
    for (const before of [0, 1000, 100 * KiB]) {
      const location = await registry().client.open('app')
      const first = someBytes(before, 5)
      if (before > 0) expectStatus(await patch(location, first), 202, 'before')
      const part = name.includes('unknown')
        ? Buffer.concat([
            Buffer.from(`${sent.toString(16)}\r\n`),
            someBytes(sent),
            Buffer.from('\r\n'),
          ])
        : someBytes(sent)
      await abortedPatch(registry(), location, part, lines)
      // The status waits for nobody, but the offset never shows what was rolled back.
      expect(await rangeOf(registry(), location)).toBe(`0-${Math.max(0, before - 1)}`)
      const whole = Buffer.concat([first, someBytes(900_000)])
      expectStatus(await patch(location, someBytes(900_000)), 202, 'retry')
      const target = `${location}?digest=${sha256(whole)}`
      expectStatus(await registry().client.request('PUT', target), 201, 'finish')
    }
  })

  test.each(['', 'few bytes'])(
    'ends with "%s" after its large stream broke off',
    async (content) => {
      const location = await registry().client.open('broken')
      await abortedPatch(registry(), location, someBytes(300_000), ['Content-Length: 900000'])
      const target = `${location}?digest=${sha256(content)}`
      expectStatus(await registry().client.request('PUT', target, { body: content }), 201, 'PUT')
      const pulled = await registry().client.get(`/v2/broken/blobs/${sha256(content)}`)
      expect([pulled.status, pulled.text]).toEqual([200, content])
    },
  )

  test.each([
    ['small', 9_000, 60_000],
    ['large', 300_000, 900_000],
  ])('keeps the prefix of a %s ranged chunk that broke off', async (_name, sent, size) => {
    const location = await registry().client.open('app')
    const body = someBytes(size)
    const lines = [`Content-Length: ${size}`, `Content-Range: 0-${size - 1}`]
    await abortedPatch(registry(), location, body.subarray(0, sent), lines)
    let kept = 0
    await until(async () => {
      kept = Number((await rangeOf(registry(), location))!.slice(2)) + 1
      return kept > 1
    })
    expect(kept).toBeLessThanOrEqual(sent)
    const rest = body.subarray(kept)
    expectStatus(await patch(location, rest, `${kept}-${size - 1}`), 202, 'resume')
    const target = `${location}?digest=${sha256(body)}`
    expectStatus(await registry().client.request('PUT', target), 201, 'finish')
  })

  test('serialises two streams at once', async () => {
    for (const size of [10_000, 400_000]) {
      const location = await registry().client.open('app')
      const parts = [someBytes(size, 1), someBytes(size, 2)] as const
      const answers = await Promise.all(parts.map((part) => patch(location, part)))
      const ends = answers.map((it) => it.headers['range']).sort()
      expect(ends).toEqual([`0-${size - 1}`, `0-${2 * size - 1}`].sort())
      const isInOrder = answers[0]!.headers['range'] === `0-${size - 1}`
      const whole = Buffer.concat(isInOrder ? [...parts] : [parts[1], parts[0]])
      const target = `${location}?digest=${sha256(whole)}`
      expectStatus(await registry().client.request('PUT', target), 201, 'finish')
    }
  })

  test('of another repository is unknown', async () => {
    const location = (await registry().client.open('mine')).replace('/mine/', '/yours/')
    for (const method of ['GET', 'HEAD', 'PATCH', 'PUT', 'DELETE']) {
      const target = `${location}?digest=${sha256('')}`
      const answer = await registry().client.request(method, target)
      expect(answer.status, method).toBe(404)
    }
  })

  test.each([
    ['short', 'x'],
    ['well-formed', 'f'.repeat(32)],
    ['long', 'f'.repeat(3000)],
    ['NUL', '%00'],
    ['unicode', 'é'.repeat(9)],
    ['dots', '..'],
  ])('whose id is %s is unknown', async (_name, id) => {
    for (const method of ['GET', 'PATCH', 'PUT', 'DELETE']) {
      const target = `/v2/app/blobs/uploads/${id === '%00' ? id : encodeURI(id)}?digest=${sha256('')}`
      const answer = await registry().client.request(method, target)
      expect(refusal(answer), method).toBe('404 BLOB_UPLOAD_UNKNOWN')
    }
  })

  test('is gone after a cancel', async () => {
    for (const size of [10, 100 * KiB]) {
      const location = await registry().client.open('app')
      expectStatus(await patch(location, someBytes(size)), 202, 'PATCH')
      const cancelled = await registry().client.delete(location)
      expect(cancelled.status).toBe(204)
      expect(cancelled.body).toHaveLength(0)
      expect(refusal(await registry().client.delete(location))).toBe('404 BLOB_UPLOAD_UNKNOWN')
      expect(refusal(await patch(location, 'x'))).toBe('404 BLOB_UPLOAD_UNKNOWN')
      const put = await registry().client.request('PUT', `${location}?digest=${sha256('')}`)
      expect(refusal(put)).toBe('404 BLOB_UPLOAD_UNKNOWN')
    }
  })

  test('leaves nothing behind', async () => {
    const sessions = async () => {
      const status = (await registry().client.get('/admin/status')).json
      return (status as { openUploads: number }).openUploads
    }
    expect(await sessions()).toBeGreaterThan(0)
    expect(registry().faults).toEqual([])
  })
})

describeRegistry(
  'the bound on sessions',
  { config: { server: { max_uploads_per_client: 3 } } },
  (registry) => {
    test('answers 503 with Retry-After and frees what was finished or cancelled', async () => {
      const { client } = registry()
      const open = [await client.open('a'), await client.open('b'), await client.open('c')]
      const refused = await client.request('POST', '/v2/d/blobs/uploads/')
      expect(refusal(refused)).toBe('503 UNAVAILABLE')
      expect(refused.headers['retry-after']).toBe('5')
      expect(errorsOf(refused)[0]?.detail).toEqual({ open: 3, max: 3 })
      await client.delete(open[0]!)
      open[0] = await client.open('d')
      const done = await client.request('PUT', `${open[1]}?digest=${sha256('x')}`, { body: 'x' })
      expectStatus(done, 201, 'finish')
      await client.open('e')
      expect((await client.request('POST', '/v2/f/blobs/uploads/')).status).toBe(503)
      // A wrong digest ends its session too.
      await client.request('PUT', `${open[2]}?digest=${sha256('y')}`, { body: 'z' })
      await client.open('g')
    })

    test('counts the sessions that an earlier run left', async () => {
      await registry().restart()
      expect((await registry().client.request('POST', '/v2/f/blobs/uploads/')).status).toBe(503)
    })
  },
)
