/** @module Pairs of TLS records: every byte once and in order, whatever the socket takes. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { offerInPairs } from '../../../src/http/engine/uws/records.ts'
import type { UwsResponse } from '../../../src/http/engine/uws/types.ts'

const KiB = 1024
const corkBytes = 16 * KiB

/** The native side: takes what fits its cork buffer, and of the rest what the socket has room for. */
class FakeResponse {
  readonly taken: number[] = []
  /** Of each write to the socket, how many bytes of it had waited in the cork buffer. */
  readonly merged: number[] = []
  offset = 0
  private isFull = false
  private readonly totalBytes: number
  private room: number
  private corked: number | undefined = undefined

  constructor(totalBytes: number, room: number) {
    this.totalBytes = totalBytes
    this.room = room
  }

  cork(callback: () => void): this {
    expect(this.isComplete, 'is used after its end').toBe(false)
    this.corked = 0
    callback()
    this.corked = undefined
    return this
  }

  tryEnd(bytes: Uint8Array, totalBytes: number): [boolean, boolean] {
    expect(this.isComplete, 'is used after its end').toBe(false)
    // What follows a part that was refused could be taken before it.
    expect(this.isFull, 'is offered more when it is full').toBe(false)
    expect(totalBytes).toBe(this.totalBytes)
    expect(bytes.length).toBeGreaterThan(0)
    const fits = this.corked !== undefined && this.corked + bytes.length <= corkBytes
    const count = fits ? bytes.length : this.send(bytes.length)
    if (fits) this.corked! += bytes.length
    this.taken.push(...bytes.subarray(0, count))
    this.offset += count
    this.isFull = count < bytes.length
    return [count === bytes.length, this.isComplete]
  }

  get isComplete(): boolean {
    return this.offset === this.totalBytes
  }

  private send(sizeBytes: number): number {
    const waited = this.corked ?? 0
    this.corked = undefined
    this.room -= waited
    // What is in the cork buffer is taken in any case; nothing that follows it, when it did not fit.
    if (this.room < 0) return 0
    this.merged.push(waited)
    const count = Math.min(sizeBytes, this.room)
    this.room -= count
    return count
  }
}

function offered(bytes: Uint8Array, totalBytes: number, room: number) {
  const response = new FakeResponse(totalBytes, room)
  const isTaken = offerInPairs(response as unknown as UwsResponse, bytes, totalBytes)
  return { response, isTaken }
}

test('two records share a write, and what is left over goes alone', () => {
  const { response, isTaken } = offered(new Uint8Array(100 * KiB), 200 * KiB, 200 * KiB)
  expect(isTaken).toBe(true)
  expect(response.merged).toEqual([corkBytes, corkBytes, corkBytes, 0])
})

test('a socket that fills up has the bytes that are counted, from the first on', () => {
  const whole = fc.integer({ min: 1, max: 9 }).map((records) => records * corkBytes)
  const size = fc.oneof(whole, fc.integer({ min: 1, max: 150 * KiB }))
  fc.assert(
    fc.property(size, fc.nat(64 * KiB), fc.nat(160 * KiB), (sizeBytes, moreBytes, room) => {
      const bytes = Uint8Array.from({ length: sizeBytes }, (_, index) => (index * 7) % 251)
      const { response, isTaken } = offered(bytes, sizeBytes + moreBytes, room)
      expect(isTaken).toBe(response.offset === sizeBytes)
      expect(Buffer.from(response.taken).equals(bytes.subarray(0, response.offset))).toBe(true)
      // A pair may be taken beyond the room; no more than one record of it waits.
      expect(response.offset).toBeGreaterThanOrEqual(Math.min(room, sizeBytes))
      expect(response.offset).toBeLessThan(Math.max(room, 1) + corkBytes)
    }),
    { numRuns: 60 },
  )
})
