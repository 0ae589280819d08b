/**
 * @module Bytes that are at hand, as a source: for answers that are sent in parts or in turns.
 */
import type { ByteSource } from './port.ts'

export class BytesSource implements ByteSource {
  readonly lasts = true
  private readonly bytes: Uint8Array

  /** The bytes must stay as they are until the response is done. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  get sizeBytes(): number {
    return this.bytes.byteLength
  }

  ready(offset: number, length: number): number {
    return Math.min(length, this.bytes.byteLength - offset)
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    return callback(this.bytes.subarray(offset, offset + length))
  }

  close(): void {}
}
