/**
 * @module A plan's items on disk: one JSON document a line, in the order in which they are applied.
 * Written as they are found, read a piece at a time.
 */
import { disk, type FileHandle } from '../../runtime/disk.ts'
import type { PlanItem } from './item.ts'

/** What is gathered before it is written, bytes. */
const writeBytesMin = 64 * 1024
const gatheredBytes = 1024 * 1024
const readBytes = 256 * 1024

export class PlanWriter {
  readonly #file: FileHandle
  #bytes: number
  /** One for the whole file: a million lines in fresh ones are memory that nobody returns. */
  readonly #pending = Buffer.allocUnsafe(gatheredBytes)
  #pendingBytes = 0
  /** What that has no room for: a repository may have more items than fit into any memory block. */
  #overflow: Buffer[] = []

  private constructor(file: FileHandle, bytes: number) {
    this.#file = file
    this.#bytes = bytes
  }

  /** Opens the file and cuts it to its first `bytes`. */
  static async open(path: string, bytes: number): Promise<PlanWriter> {
    const file = await disk.open(path, bytes === 0 ? 'w+' : 'r+')
    await disk.truncate(file, bytes)
    return new PlanWriter(file, bytes)
  }

  /** Bytes that are in the file. */
  get bytes(): number {
    return this.#bytes
  }

  get isFull(): boolean {
    return this.#pendingBytes >= writeBytesMin || this.#overflow.length > 0
  }

  add(item: PlanItem): void {
    const line = `${JSON.stringify(item)}\n`
    // Three bytes of UTF-8 for a character are the most.
    if (this.#pendingBytes + line.length * 3 > gatheredBytes) this.#makeRoom()
    if (line.length * 3 > gatheredBytes) this.#overflow.push(Buffer.from(line))
    else this.#pendingBytes += this.#pending.write(line, this.#pendingBytes)
  }

  /** Resolves when everything so far is in the file. Nothing may be added meanwhile. */
  async flush(): Promise<void> {
    const overflow = this.#overflow
    this.#overflow = []
    for (const text of overflow) await this.#write(text)
    await this.#write(this.#pending.subarray(0, this.#pendingBytes))
    this.#pendingBytes = 0
  }

  #makeRoom(): void {
    if (this.#pendingBytes > 0) {
      this.#overflow.push(Buffer.from(this.#pending.subarray(0, this.#pendingBytes)))
    }
    this.#pendingBytes = 0
  }

  async #write(text: Buffer): Promise<void> {
    for (let done = 0; done < text.byteLength; ) {
      done += await disk.write(this.#file, text.subarray(done), this.#bytes + done)
    }
    this.#bytes += text.byteLength
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

export interface PlanLine {
  readonly item: PlanItem
  /** Byte behind the line: where the next one begins. */
  readonly end: number
}

/** Items from a byte of the file on; a line that was not written to its end is the end. */
export async function* readPlan(path: string, offset: number): AsyncGenerator<PlanLine> {
  const file = await disk.open(path, 'r')
  try {
    // One buffer, as for writing.
    let held = Buffer.allocUnsafe(readBytes)
    let heldBytes = 0
    let position = offset
    let lineStart = offset
    while (true) {
      if (heldBytes === held.byteLength) held = Buffer.concat([held], held.byteLength * 2)
      const count = await disk.read(file, held.subarray(heldBytes), position)
      if (count === 0) return
      position += count
      heldBytes += count
      let start = 0
      for (
        let end = held.indexOf(10);
        end !== -1 && end < heldBytes;
        end = held.indexOf(10, start)
      ) {
        lineStart += end + 1 - start
        const item = JSON.parse(held.toString('utf8', start, end)) as PlanItem
        start = end + 1
        yield { item, end: lineStart }
      }
      held.copyWithin(0, start, heldBytes)
      heldBytes -= start
    }
  } finally {
    await file.close()
  }
}
