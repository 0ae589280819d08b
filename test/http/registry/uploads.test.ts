/** @module The four ways to push a blob over real sockets, at sizes around every border. */
import { expect, test } from 'vitest'
import { describeRegistry, until } from '../../support/in-process.ts'
import {
  type Answer,
  expectStatus,
  type RegistryClient,
  refusal,
  sha256,
  someBytes,
} from '../../support/registry-client.ts'

const KiB = 1024
/** 64 KiB is the inline limit, 512 KiB the largest chunk that goes to a worker. */
const SIZES = [0, 1, 64 * KiB - 1, 64 * KiB, 64 * KiB + 1, 600 * KiB, 5 * KiB * KiB]

type Push = (client: RegistryClient, repository: string, bytes: Buffer) => Promise<Answer>

function halves(bytes: Buffer): [Buffer, Buffer] {
  const middle = Math.floor(bytes.length / 2)
  return [bytes.subarray(0, middle), bytes.subarray(middle)]
}

/** Pieces of odd sizes, so that chunk borders are nowhere near anyone else's. */
function pieces(bytes: Buffer): Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at < bytes.length; at += 99_991) found.push(bytes.subarray(at, at + 99_991))
  return found
}

const STYLES: Record<string, Push> = {
  'POST with the bytes': (client, repository, body) =>
    client.request('POST', `/v2/${repository}/blobs/uploads/?digest=${sha256(body)}`, { body }),
  'POST with the bytes, chunked': (client, repository, body) =>
    client.request('POST', `/v2/${repository}/blobs/uploads/?digest=${sha256(body)}`, {
      body: pieces(body),
      isChunked: true,
    }),
  'POST, then PUT with the bytes': async (client, repository, body) =>
    client.request('PUT', `${await client.open(repository)}?digest=${sha256(body)}`, { body }),
  'POST, then PUT with the bytes, chunked': async (client, repository, body) =>
    client.request('PUT', `${await client.open(repository)}?digest=${sha256(body)}`, {
      body: pieces(body),
      isChunked: true,
    }),
  'POST, one PATCH stream, PUT': async (client, repository, body) => {
    const location = await client.open(repository)
    const patched = await client.request('PATCH', location, { body: pieces(body), isChunked: true })
    expectStatus(patched, 202, 'PATCH')
    expect(patched.headers['range']).toBe(`0-${Math.max(0, body.length - 1)}`)
    expect(patched.headers['docker-upload-uuid']).toBe(location.split('/').at(-1))
    expect(patched.headers['content-length']).toBe('0')
    return client.request('PUT', `${patched.headers['location']}?digest=${sha256(body)}`)
  },
  'POST, ranged PATCHes, PUT with the last chunk': async (client, repository, body) => {
    let location = await client.open(repository)
    const [first, last] = halves(body)
    let at = 0
    for (const chunk of first.length === 0 ? [] : halves(first).filter((it) => it.length > 0)) {
      const headers = { 'Content-Range': `${at}-${at + chunk.length - 1}` }
      const answer = await client.request('PATCH', location, { headers, body: chunk })
      expectStatus(answer, 202, 'ranged PATCH')
      at += chunk.length
      expect(answer.headers['range']).toBe(`0-${at - 1}`)
      location = answer.headers['location']!
    }
    const headers = last.length === 0 ? {} : { 'Content-Range': `${at}-${at + last.length - 1}` }
    const target = `${location}?digest=${sha256(body)}`
    return client.request('PUT', target, { headers, body: last })
  },
}

describeRegistry('a blob', {}, (registry) => {
  for (const [style, push] of Object.entries(STYLES)) {
    test(`arrives whole by ${style}`, async () => {
      const { client } = registry()
      for (const size of SIZES) {
        const bytes = someBytes(size, size + style.length)
        const answer = await push(client, 'styles', bytes)
        expectStatus(answer, 201, `${size} bytes`)
        const digest = sha256(bytes)
        expect(answer.headers['docker-content-digest']).toBe(digest)
        expect(answer.headers['location']).toBe(`/v2/styles/blobs/${digest}`)
        const pulled = await client.get(answer.headers['location']!)
        expect(pulled.headers['content-length']).toBe(String(size))
        expect(pulled.headers['content-type']).toBe('application/octet-stream')
        expect(pulled.body.equals(bytes), `${size} bytes`).toBe(true)
        const { headers } = await client.head(`/v2/styles/blobs/${digest}`)
        expect(headers['content-length']).toBe(String(size))
      }
    })

    test(`is refused with another digest by ${style}`, async () => {
      const { client } = registry()
      for (const size of [100, 100 * KiB]) {
        const bytes = someBytes(size, 7)
        const answer = await pushLying(client, push, bytes)
        expect(refusal(answer), `${size} bytes`).toBe('400 DIGEST_INVALID')
        expect((await client.head(`/v2/lies/blobs/${sha256(bytes)}`)).status).toBe(404)
      }
    })
  }

  test('a session ends with a digest that does not match', async () => {
    const { client } = registry()
    for (const size of [10, 100 * KiB]) {
      const location = await client.open('app')
      const body = someBytes(size)
      expectStatus(await client.request('PATCH', location, { body }), 202, 'PATCH')
      const wrong = await client.request('PUT', `${location}?digest=${sha256('other')}`)
      expect(refusal(wrong)).toBe('400 DIGEST_INVALID')
      expect(refusal(await client.get(location))).toBe('404 BLOB_UPLOAD_UNKNOWN')
    }
  })

  test('a session goes on after a PUT without digest or with a malformed one', async () => {
    const { client } = registry()
    const location = await client.open('app')
    const bad = ['', '?digest=', '?digest=sha256:abc', `?digest=md5:${'a'.repeat(32)}`]
    for (const query of bad) {
      const answer = await client.request('PUT', `${location}${query}`, { body: 'not taken' })
      expect(refusal(answer), query).toBe('400 DIGEST_INVALID')
    }
    expect((await client.get(location)).headers['range']).toBe('0-0')
    const done = await client.request('PUT', `${location}?digest=${sha256('x')}`, { body: 'x' })
    expectStatus(done, 201, 'PUT')
  })

  test('finishing twice answers 201 twice, in this repository alone', async () => {
    const { client } = registry()
    const location = await client.open('twice')
    const target = `${location}?digest=${sha256('again')}`
    expectStatus(await client.request('PUT', target, { body: 'again' }), 201, 'first')
    expectStatus(await client.request('PUT', target, { body: 'again' }), 201, 'second')
    expectStatus(await client.request('PUT', target), 201, 'third')
    const elsewhere = target.replace('/twice/', '/elsewhere/')
    expect(refusal(await client.request('PUT', elsewhere))).toBe('404 BLOB_UPLOAD_UNKNOWN')
  })

  test.each(['sha512', 'blake3'] as const)(
    '%s works with a hint and without',
    async (algorithm) => {
      const { client } = registry()
      for (const size of [10, 200 * KiB]) {
        const plain = await client.pushBlob('algorithms', someBytes(size), algorithm)
        const pulled = await client.get(`/v2/algorithms/blobs/${plain.digest}`)
        expect(pulled.body.equals(someBytes(size))).toBe(true)
        expect(pulled.headers['docker-content-digest']).toBe(plain.digest)
        const location = await client.open('algorithms', `?digest-algorithm=${algorithm}`)
        const body = someBytes(size)
        expectStatus(await client.request('PATCH', location, { body }), 202, 'PATCH')
        const done = await client.request('PUT', `${location}?digest=${plain.digest}`)
        expectStatus(done, 201, 'PUT')
        // The hint binds nobody: a session may end with another algorithm.
        const changed = await client.open('algorithms', `?digest-algorithm=${algorithm}`)
        expectStatus(await client.request('PATCH', changed, { body }), 202, 'PATCH')
        const other = await client.request('PUT', `${changed}?digest=${sha256(body)}`)
        expectStatus(other, 201, 'PUT with sha256')
      }
    },
  )

  test('an algorithm that is not computed here is refused', async () => {
    for (const algorithm of ['md5', 'SHA256', '', 'sha256:', '__proto__']) {
      const target = `/v2/app/blobs/uploads/?digest-algorithm=${algorithm}`
      const answer = await registry().client.request('POST', target)
      expect(refusal(answer), algorithm).toBe('400 DIGEST_INVALID')
    }
  })

  test('20 concurrent pushes of one blob all succeed and leave one file', async () => {
    const { client } = registry()
    const body = someBytes(700 * KiB, 20)
    const digest = sha256(body)
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const location = await client.open(`crowd-${index % 3}`)
        return client.request('PUT', `${location}?digest=${digest}`, { body })
      }),
    )
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201))
    const files = await registry().blobFiles()
    expect(files.filter((name) => digest.endsWith(name))).toHaveLength(1)
    const pulled = await client.get(`/v2/crowd-1/blobs/${digest}`)
    expect(pulled.body.equals(body)).toBe(true)
  })

  test('nothing is left below uploads/ and nothing failed', async () => {
    await until(async () => (await registry().uploadFiles()).length === 0)
    expect(registry().faults).toEqual([])
  })
})

/** Any style with a digest in its target that is not of the bytes sent. */
function pushLying(client: RegistryClient, push: Push, bytes: Buffer): Promise<Answer> {
  const right = sha256(bytes)
  const liar: Pick<RegistryClient, 'open' | 'request'> = {
    open: (repository, query) => client.open(repository, query),
    request: (method, target, options) =>
      client.request(method, target.replace(right, sha256('another')), options),
  }
  return push(liar as RegistryClient, 'lies', bytes)
}
