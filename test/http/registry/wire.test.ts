/**
 * @module What several requests on one connection come to, with the registry's own routes: answers in
 * order, nothing beside a change, and nothing taken for a request that is none.
 */
import { expect, test } from 'vitest'
import { mediaTypes } from '../../../src/registry/media-type.ts'
import { describeRegistry } from '../../support/in-process.ts'
import { imageIndex, sha256, someBytes } from '../../support/registry-client.ts'

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`

describeRegistry('several requests on one connection', {}, (registry) => {
  const body = JSON.stringify(imageIndex([]))
  const put = (path: string) =>
    `PUT ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: ${mediaTypes.ociIndex}\r\nContent-Length: ${body.length}\r\n\r\n${body}`

  async function statuses(packet: string, count: number): Promise<readonly number[]> {
    const client = await registry().connect()
    await client.send(packet)
    const answers: number[] = []
    while (answers.length < count) answers.push((await client.readResponse()).status)
    client.close()
    return answers
  }

  test('a GET behind a PUT, and behind a DELETE, sees what that did', async () => {
    const path = '/v2/wire/order/manifests/v2'
    expect(await statuses(put(path) + get(path), 2)).toEqual([201, 200])
    const remove = `DELETE ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
    expect(await statuses(remove + get(path), 2)).toEqual([202, 404])
  })

  test('fifty pulls that nobody has asked for before are all answered', async () => {
    const path = '/v2/wire/many/manifests/v1'
    expect(await statuses(put(path), 1)).toEqual([201])
    expect(await statuses(get(path).repeat(50), 50)).toEqual(Array(50).fill(200))
  })

  test('two pulls of a large blob are both whole', async () => {
    const content = someBytes(3_000_000, 5)
    const { digest } = await registry().client.pushBlob('wire/large', content)
    const client = await registry().connect()
    await client.send(get(`/v2/wire/large/blobs/${digest}`).repeat(2))
    for (let round = 0; round < 2; round += 1) {
      expect(sha256((await client.readResponse()).body)).toBe(digest)
    }
  })

  test('trailers of a body that nobody takes are no request', async () => {
    const path = '/v2/wire/trailers/manifests/v1'
    expect(await statuses(put(path), 1)).toEqual([201])
    for (const trailer of ['X:', 'xx: ']) {
      const client = await registry().connect()
      await client.send(
        `GET ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${trailer}GET /v2/wire/trailers/tags/list HTTP/1.1\r\nHost: h\r\n\r\n`,
      )
      const text = String(await client.readToEnd())
      expect(text).not.toContain('"tags"')
      expect(text === '' || text.startsWith('HTTP/1.1 400 ')).toBe(true)
    }
    expect(registry().logLines.filter((line) => line.includes('/tags/list'))).toEqual([])
  })
})

describeRegistry(
  'a trusted proxy',
  { config: { server: { trusted_proxies: ['127.0.0.1'] } } },
  (registry) => {
    test('gets each chunked upload answered, and its connection closed', async () => {
      for (const body of [
        '3\r\nabc\r\n0\r\n\r\n',
        '0\r\nX:GET /v2/_catalog HTTP/1.1\r\nHost: h\r\n\r\n',
      ]) {
        const location = await registry().client.open('wire/chunked')
        const client = await registry().connect()
        const head = `PATCH ${location} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`
        await client.send(head)
        await client.send(body)
        const text = String(await client.readToEnd())
        if (body.startsWith('3')) expect(text).toMatch(/^HTTP\/1\.1 202 .*onnection: close/s)
        expect(text).not.toContain('repositories')
      }
    })
  },
)
