/** @module What a stop and a start on the same folder leave: sessions to resume, content to pull. */
import { rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Algorithm } from '../../../src/registry/digest.ts'
import { digestOf } from '../../../src/registry/hasher.ts'
import { describeRegistry, until } from '../../support/in-process.ts'
import { expectStatus, refusal, sha256, someBytes } from '../../support/registry-client.ts'

const KiB = 1024

describeRegistry('after a restart', {}, (registry) => {
  const patch = (location: string, body: Buffer, range?: string) =>
    registry().client.request('PATCH', location, {
      body,
      ...(range === undefined ? {} : { headers: { 'Content-Range': range } }),
    })

  const cases: [algorithm: Algorithm, first: number, second: number][] = [
    ['sha256', 0, 10],
    ['sha256', 0, 200 * KiB],
    ['sha256', 10, 10],
    ['sha256', 64 * KiB, 1],
    ['sha256', 64 * KiB + 1, 10],
    ['sha256', 1500 * KiB, 700 * KiB],
    ['sha512', 10, 200 * KiB],
    ['sha512', 200 * KiB, 10],
    ['blake3', 10, 10],
    ['blake3', 200 * KiB, 300 * KiB],
  ]

  test('sessions go on where they stood', async () => {
    const sessions = await Promise.all(
      cases.map(async ([algorithm, first, second]) => {
        const location = await registry().client.open('app', `?digest-algorithm=${algorithm}`)
        const body = someBytes(first + second, first + 1)
        if (first > 0) expectStatus(await patch(location, body.subarray(0, first)), 202, 'PATCH')
        return { location, first, body, digest: digestOf(algorithm, body) }
      }),
    )
    await registry().restart()
    for (const { location, first, body } of sessions) {
      const status = await registry().client.get(location)
      expect(status.headers['range']).toBe(`0-${Math.max(0, first - 1)}`)
      const range = `${first}-${body.length - 1}`
      expectStatus(await patch(location, body.subarray(first), range), 202, 'resumed PATCH')
    }
    await registry().restart()
    for (const { location, body, digest } of sessions) {
      const done = await registry().client.request('PUT', `${location}?digest=${digest}`)
      expectStatus(done, 201, `${body.length} bytes`)
    }
    await registry().restart()
    for (const { body, digest } of sessions) {
      const pulled = await registry().client.get(`/v2/app/blobs/${digest}`)
      expect(pulled.body.equals(body)).toBe(true)
    }
    expect(await registry().uploadFiles()).toEqual([])
  })

  test.each(['gone', 'too short'])(
    'a session whose file is %s is 404, and over',
    async (damage) => {
      const location = await registry().client.open('app')
      const body = someBytes(300 * KiB, 77)
      expectStatus(await patch(location, body.subarray(0, 200 * KiB)), 202, 'PATCH')
      await registry().restart()
      await until(async () => {
        const { json } = await registry().client.get('/admin/status')
        return (json as { reconciliation: { state: string } }).reconciliation.state === 'done'
      })
      const file = join(registry().folder, 'uploads', location.split('/').at(-1)!)
      await (damage === 'gone' ? rm(file) : truncate(file, 1000))
      const refused = await patch(location, body.subarray(200 * KiB))
      expect(refusal(refused)).toBe('404 BLOB_UPLOAD_UNKNOWN')
      expect((await registry().client.get(location)).status).toBe(404)
      await until(async () => (await registry().uploadFiles()).length === 0)
    },
  )

  test('a session whose only stream broke off takes a small blob and leaves no file', async () => {
    const location = await registry().client.open('app')
    const client = await registry().connect()
    await client.send(`PATCH ${location} HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n`)
    await client.send(someBytes(300_000))
    await until(async () => (await registry().uploadFiles()).length > 0)
    client.abort()
    await until(() => registry().logLines.some((it) => it.includes('"aborted":true')))
    await registry().restart()
    const target = `${location}?digest=${sha256('small')}`
    expectStatus(await registry().client.request('PUT', target, { body: 'small' }), 201, 'PUT')
    await until(async () => (await registry().uploadFiles()).length === 0)
  })

  test('a cancelled session leaves no file', async () => {
    const location = await registry().client.open('app')
    expectStatus(await patch(location, someBytes(100 * KiB)), 202, 'PATCH')
    await registry().restart()
    expectStatus(await registry().client.delete(location), 204, 'cancel')
    await registry().restart()
    expect(await registry().uploadFiles()).toEqual([])
    expect(refusal(await registry().client.get(location))).toBe('404 BLOB_UPLOAD_UNKNOWN')
  })

  test('a digest that does not match ends a resumed session and its file', async () => {
    const location = await registry().client.open('app')
    expectStatus(await patch(location, someBytes(100 * KiB)), 202, 'PATCH')
    await registry().restart()
    const wrong = await registry().client.request('PUT', `${location}?digest=${sha256('other')}`)
    expect(refusal(wrong)).toBe('400 DIGEST_INVALID')
    await until(async () => (await registry().uploadFiles()).length === 0)
  })

  test('tags, manifests, blobs, referrers and the catalog are as they were', async () => {
    const { client } = registry()
    const image = await client.pushImage('kept', 'v1')
    await client.pushImage('kept', undefined, { subject: image })
    const targets = [
      '/v2/_catalog',
      '/v2/kept/tags/list',
      '/v2/kept/manifests/v1',
      `/v2/kept/referrers/${image.digest}`,
      `/v2/kept/blobs/${sha256('{}')}`,
    ]
    const before = await Promise.all(targets.map((target) => client.get(target)))
    expect(before.map(({ status }) => status)).toEqual(targets.map(() => 200))
    await registry().restart()
    for (const [index, target] of targets.entries()) {
      const after = await registry().client.get(target)
      expect(after.body.equals(before[index]!.body), target).toBe(true)
    }
  })
})
