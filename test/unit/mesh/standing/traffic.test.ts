/** @module Bytes of blobs between this node and its peers. */
import { expect, test } from 'vitest'
import type { BlobSource } from '../../../../src/blobs/port.ts'
import { Traffic } from '../../../../src/mesh/standing/traffic.ts'

test('what a reader takes of a blob or of an upload is sent, however much it asks for', async () => {
  const traffic = new Traffic()
  const source = traffic.sending({
    sizeBytes: 10,
    ready: () => true,
    use: (_offset: number, _length: number, callback: (bytes: Uint8Array) => unknown) =>
      callback(new Uint8Array(4)),
    close: () => undefined,
  } as unknown as BlobSource)
  source.use(0, 4, () => undefined)
  expect(traffic.sentBytes).toBe(4)
  let isClosed = false
  const tail = traffic.sendingTail({
    read: async () => 3,
    close: () => {
      isClosed = true
    },
  })
  expect(await tail.read(new Uint8Array(8), 0)).toBe(3)
  tail.close()
  expect([traffic.sentBytes, isClosed]).toEqual([7, true])
  traffic.received(5)
  expect(traffic.receivedBytes).toBe(5)
})
