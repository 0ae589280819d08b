/** @module Blob files that somebody writes to behind the registry's back are never served as if they were whole. */
import { open, stat, truncate, utimes } from 'node:fs/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { blobPath, blobPaths } from '../../../src/blobs/files/layout.ts'
import { RawClient } from '../../support/raw-http.ts'
import {
  asDigest,
  RegistryClient,
  refusal,
  sha256,
  someBytes,
} from '../../support/registry-client.ts'
import { startRegistry } from '../../support/start-registry.ts'

/** Beyond what sockets and the first window take of a reader that does not read. */
const longBytes = 48 * 1024 * 1024

async function begin(reader: string) {
  const registry = await startRegistry({ config: { log: { access: false }, storage: { reader } } })
  const client = new RegistryClient(registry.port)
  onTestFinished(async () => {
    client.close()
    await registry.stop()
  })
  const push = async (content: Buffer) => {
    await client.pushBlob('changed/app', content)
    const digest = sha256(content)
    return {
      path: `/v2/changed/app/blobs/${digest}`,
      file: blobPath(blobPaths(registry.storage), asDigest(digest)),
    }
  }
  return { registry, client, push }
}

async function flipAt(file: string, offset: number): Promise<void> {
  const handle = await open(file, 'r+')
  const byte = Buffer.alloc(1)
  await handle.read(byte, 0, 1, offset)
  byte[0]! ^= 0xff
  await handle.write(byte, 0, 1, offset)
  await handle.close()
}

describe.each(['auto', 'file'])('with the reader %s', (reader) => {
  test('a flipped byte is noticed before the first byte goes out, and a push mends it', async () => {
    const { client, push } = await begin(reader)
    const content = someBytes(300_000, 1)
    const { path, file } = await push(content)
    await flipAt(file, 200_000)
    const answer = await client.get(path)
    expect(refusal(answer)).toBe('404 BLOB_UNKNOWN')
    await push(content)
    expect((await client.get(path)).body.equals(content)).toBe(true)
  })

  test('one that is flipped after it was pulled is noticed within a second', async () => {
    const { client, push } = await begin(reader)
    const content = someBytes(300_000, 2)
    const { path, file } = await push(content)
    expect((await client.get(path)).body.equals(content)).toBe(true)
    await flipAt(file, 10)
    await expect
      .poll(async () => (await client.get(path)).status, { interval: 1100, timeout: 10_000 })
      .toBe(404)
  })

  test.each([
    ['flipped', (file: string) => flipAt(file, longBytes - 10)],
    ['cut short', (file: string) => truncate(file, longBytes - 4096)],
  ])('a download of a file that is %s meanwhile ends short of its length', async (_, change) => {
    const { registry, push } = await begin(reader)
    const content = someBytes(longBytes, 3)
    const { path, file } = await push(content)
    const slow = await RawClient.connect(registry.port)
    await slow.request('GET', path)
    const { status, headers } = await slow.readHead()
    expect([status, headers.get('content-length')]).toEqual([200, String(longBytes)])
    await slow.readBytes(100_000)
    await change(file)
    const rest = await slow.readToEnd()
    expect(100_000 + rest.length).toBeLessThan(longBytes)
  })

  test('one that only has another time is served, and is believed from then on', async () => {
    const { client, push } = await begin(reader)
    const content = someBytes(300_000, 4)
    const { path, file } = await push(content)
    const later = new Date(Date.now() + 60_000)
    await utimes(file, later, later)
    expect((await client.get(path)).body.equals(content)).toBe(true)
    expect((await stat(file)).mtimeMs).toBeLessThan(later.getTime())
  })
})
