/**
 * @module Recorded histories: every transaction that a store was asked to commit, in the order in which it
 * applies them, a file a store. Each record is a length of four bytes and what `v8.serialize` makes.
 */
import { appendFileSync, readFileSync } from 'node:fs'
import { deserialize, serialize } from 'node:v8'
import { type Transaction, withOwnBytes } from '../../src/metadata/transaction.ts'

/** What one store may leave: what comes later is left out, so the file is the beginning of its history. */
const bytesMax = 48 * 1024 * 1024
const gatheredBytesMax = 1024 * 1024

export class HistoryWriter {
  readonly #path: string
  #gathered: Buffer[] = []
  #gatheredBytes = 0
  #bytes = 0

  constructor(path: string) {
    this.#path = path
  }

  add(it: Transaction): void {
    if (this.#bytes > bytesMax) return
    const record = serialize(withOwnBytes(it))
    const length = Buffer.alloc(4)
    length.writeUInt32LE(record.byteLength)
    this.#gathered.push(length, record)
    this.#bytes += record.byteLength
    this.#gatheredBytes += record.byteLength
    if (this.#gatheredBytes > gatheredBytesMax) this.flush()
  }

  flush(): void {
    appendFileSync(this.#path, Buffer.concat(this.#gathered))
    this.#gathered = []
    this.#gatheredBytes = 0
  }
}

/** A record that was not written to its end is the end. */
export function readHistory(path: string): Transaction[] {
  const bytes = readFileSync(path)
  const history: Transaction[] = []
  for (let at = 0; at + 4 <= bytes.byteLength; ) {
    const end = at + 4 + bytes.readUInt32LE(at)
    if (end > bytes.byteLength) break
    history.push(deserialize(bytes.subarray(at + 4, end)) as Transaction)
    at = end
  }
  return history
}
