/**
 * @module Two requests on one upload session: whoever comes is answered within two seconds whatever the
 * other's client does, the offset is true for whoever asks, and what was given up is not carried out.
 */
import { describe, expect, test } from 'vitest'
import { describeRegistry, type InProcessRegistry, until } from '../../support/in-process.ts'
import { fetchRaw, type RawClient } from '../../support/raw-http.ts'
import { expectStatus, sha256, someBytes } from '../../support/registry-client.ts'

/** Two seconds of silence; the rest is for a machine that has forty of these at once. A holder that keeps the session has 30. */
const answerMsMax = 6_000
const lengthBytes = 300_000
const content = someBytes(lengthBytes)
const digest = sha256(content)

interface Body {
  readonly content: Buffer
  readonly digest: string
  /** What has come of it when its client stalls. */
  readonly sentBytes: number
}

/** What the main thread reads itself, and what a worker reads from the socket. */
const BODIES: Readonly<Record<string, Body>> = {
  small: { content, digest, sentBytes: 100_000 },
  long: ((long) => ({ content: long, digest: sha256(long), sentBytes: 3_000_000 }))(
    someBytes(5_000_000),
  ),
}

type HolderKind = 'a PATCH with a length' | 'a PATCH with a range' | 'a PATCH in chunks' | 'a PUT'

/** How the request that holds the session sends its body. */
const holderOf = (
  kind: HolderKind,
  { content: { length }, digest: whole }: Body,
): readonly [method: string, query: string, lines: readonly string[]] =>
  ({
    'a PATCH with a length': ['PATCH', '', [`Content-Length: ${length}`]] as const,
    'a PATCH with a range': [
      'PATCH',
      '',
      [`Content-Length: ${length}`, `Content-Range: 0-${length - 1}`],
    ] as const,
    'a PATCH in chunks': ['PATCH', '', ['Transfer-Encoding: chunked']] as const,
    'a PUT': ['PUT', `?digest=${whole}`, [`Content-Length: ${length}`]] as const,
  })[kind]

type Newcomer = (registry: InProcessRegistry, location: string, body: Body) => Promise<number>

/** What comes while it is held; the status that it is answered with when the holder kept no prefix. */
const NEWCOMERS: Readonly<Record<string, Newcomer>> = {
  'a PUT with the body': async ({ client }, location, body) =>
    (await client.request('PUT', `${location}?digest=${body.digest}`, { body: body.content }))
      .status,
  'a PUT of nothing': async ({ client }, location, body) =>
    (await client.request('PUT', `${location}?digest=${body.digest}`)).status,
  'a PATCH with a range': async ({ client }, location, body) =>
    (
      await client.request('PATCH', location, {
        body: body.content,
        headers: { 'Content-Range': `0-${body.content.length - 1}` },
      })
    ).status,
  'a PATCH': async ({ client }, location, body) =>
    (await client.request('PATCH', location, { body: body.content })).status,
  'a DELETE': async ({ client }, location) => (await client.delete(location)).status,
}

/** Begins a request that holds the session: its head and `sent` bytes. */
async function hold(
  registry: InProcessRegistry,
  location: string,
  kind: HolderKind,
  sent: Buffer,
  body: Body = BODIES['small']!,
): Promise<RawClient> {
  const [method, query, lines] = holderOf(kind, body)
  const raw = await registry.connect()
  const isChunked = kind === 'a PATCH in chunks'
  await raw.send(
    `${method} ${location}${query} HTTP/1.1\r\nHost: a\r\n${lines.join('\r\n')}\r\n\r\n`,
  )
  await raw.send(isChunked ? `${sent.length.toString(16)}\r\n${sent.toString('latin1')}\r\n` : sent)
  // Accepted after that one: by the time of its answer the server has seen the other's head.
  await fetchRaw(registry.port, 'GET', location)
  return raw
}

const offsetOf = async ({ client }: InProcessRegistry, location: string) => {
  const { status, headers } = await client.get(location)
  return status === 404 ? undefined : Number(headers['range']!.split('-')[1]) + 1
}

describeRegistry('two requests on one upload session', {}, (registry) => {
  describe.each(
    Object.keys(BODIES).flatMap((size) =>
      (
        ['a PATCH with a length', 'a PATCH with a range', 'a PATCH in chunks', 'a PUT'] as const
      ).map((kind) => [kind, size] as const),
    ),
  )('%s of a %s body that stalls', (kind, size) => {
    const body = BODIES[size]!
    test.concurrent.each(Object.keys(NEWCOMERS))('gives way to %s', async (newcomer) => {
      const location = await registry().client.open('app')
      const sent = body.content.subarray(0, body.sentBytes)
      const raw = await hold(registry(), location, kind, sent, body)
      const startedAt = performance.now()
      const status = await NEWCOMERS[newcomer]!(registry(), location, body)
      expect(performance.now() - startedAt).toBeLessThan(answerMsMax)
      // A ranged chunk keeps what had arrived, all others leave the session as it was.
      const keepsPrefix = kind === 'a PATCH with a range'
      const expected: Record<string, number> = {
        'a PUT with the body': keepsPrefix ? 400 : 201,
        'a PUT of nothing': 400,
        'a PATCH with a range': keepsPrefix ? 416 : 202,
        'a PATCH': 202,
        'a DELETE': 204,
      }
      expect(status).toBe(expected[newcomer])
      const older = await raw.readHead()
      expect(older.status).toBe(409)

      const offset = await offsetOf(registry(), location)
      if (newcomer === 'a PATCH') {
        expect(offset).toBe(body.content.length + (keepsPrefix ? sent.length : 0))
      } else if (newcomer === 'a PATCH with a range') {
        expect(offset).toBe(keepsPrefix ? sent.length : body.content.length)
        const rest = body.content.subarray(offset)
        const done = await registry().client.request('PUT', `${location}?digest=${body.digest}`, {
          ...(rest.length === 0
            ? {}
            : { body: rest, headers: { 'Content-Range': `${offset}-${body.content.length - 1}` } }),
        })
        expectStatus(done, 201, 'finish')
      } else expect(offset).toBeUndefined()
      raw.close()
    })
  })

  test('a client that goes on sending keeps its turn, and the newer one hears where it stands', async () => {
    const location = await registry().client.open('app')
    const raw = await hold(
      registry(),
      location,
      'a PATCH with a length',
      content.subarray(0, 1_000),
    )
    let sent = 1_000
    const timer = setInterval(() => {
      void raw.send(content.subarray(sent, sent + 100))
      sent += 100
    }, 200)
    const startedAt = performance.now()
    const refused = await registry().client.request('PATCH', location, { body: 'newer' })
    clearInterval(timer)
    expect(performance.now() - startedAt).toBeLessThan(answerMsMax)
    expect(refused.status).toBe(409)
    expect(refused.text).toContain('another request is sending')
    expect(refused.headers['range']).toBe('0-0')
    expect(refused.headers['location']).toBe(location)
    await raw.send(content.subarray(sent))
    expect((await raw.readResponse()).status).toBe(202)
    expect(await offsetOf(registry(), location)).toBe(lengthBytes)
    expectStatus(
      await registry().client.request('PUT', `${location}?digest=${digest}`),
      201,
      'finish',
    )
  })

  test('a cancel waits for nobody', async () => {
    const location = await registry().client.open('app')
    const raw = await hold(
      registry(),
      location,
      'a PATCH with a length',
      content.subarray(0, 1_000),
    )
    const startedAt = performance.now()
    expect((await registry().client.delete(location)).status).toBe(204)
    // Whoever waits for the other waits for two seconds.
    expect(performance.now() - startedAt).toBeLessThan(1_800)
    expect((await raw.readHead()).status).toBe(409)
  })

  // One whose body is read finds out by itself; one without a body would be carried out.
  test.each([
    ['PATCH', '', 'newer'],
    ['PUT', `?digest=${digest}`, ''],
  ])(
    'a %s that waits in line is not carried out once its client has left',
    async (method, query, body) => {
      const location = await registry().client.open('app')
      const holder = await hold(
        registry(),
        location,
        'a PATCH with a length',
        content.subarray(0, 1_000),
      )
      const waiting = await registry().connect()
      const head = `${method} ${location}${query} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}`
      await waiting.send(`${head}\r\n\r\n${body}`)
      const before = registry().logLines.length
      await registry().client.get(location)
      waiting.abort()
      const isLogged = () =>
        registry()
          .logLines.slice(before)
          .some((it) => it.includes('"aborted":true'))
      await until(isLogged)
      await holder.send(content.subarray(1_000))
      expect((await holder.readResponse()).status).toBe(202)
      // Behind it in the line: by its answer the other would have been carried out.
      const behind = await registry().client.request('PATCH', location, { body: Buffer.alloc(0) })
      expect(behind.status).toBe(202)
      expect(await offsetOf(registry(), location)).toBe(lengthBytes)
    },
  )

  test('many that come at once are all answered, and the session is what the answers say', async () => {
    const location = await registry().client.open('app')
    const raw = await hold(registry(), location, 'a PATCH with a range', content.subarray(0, 1_000))
    const startedAt = performance.now()
    const answers = await Promise.all(
      Array.from({ length: 8 }, () =>
        registry().client.request('PATCH', location, {
          body: content.subarray(1_000, 2_000),
          headers: { 'Content-Range': '1000-1999' },
        }),
      ),
    )
    expect(performance.now() - startedAt).toBeLessThan(2 * answerMsMax)
    const taken = answers.filter(({ status }) => status === 202)
    expect(taken).toHaveLength(1)
    for (const { status } of answers) expect([202, 416, 409]).toContain(status)
    expect(await offsetOf(registry(), location)).toBe(2_000)
    raw.close()
  })

  test('nothing of all this was a fault', () => {
    expect(registry().faults).toEqual([])
  })
})
