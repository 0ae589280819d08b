/**
 * @module Where log lines leave the process: gathered, written in the background, bounded. A slow
 * reader, a full disk or a closed pipe behind the descriptor costs lines (they are counted), never
 * the server and never its stop. (pino's own destination waits without end when a write at exit
 * fails with ENOSPC.)
 */
import { write, writeSync } from 'node:fs'

/** Bytes gathered before a write; what is less waits for `flushEveryMs`. */
const chunkBytes = 64 * 1024
const flushEveryMs = 100

/** Bytes that wait for a slow reader; a line that would go beyond is dropped and counted. */
const waitingBytesMax = 8 * 1024 * 1024

/** Between two attempts on a pipe that is full. */
const retryAfterMs = 10

/** How long a flush waits for a reader that does not read. */
const flushPatienceMs = 1000

/** Lines as bytes on their way out. */
interface Chunk {
  readonly bytes: Buffer
  length: number
  lines: number
}

/**
 * Lines go straight into a buffer: a long text that is glued together and encoded at the end costs
 * several times as much (measured at 70,000 lines a second).
 */
export class LogStream {
  readonly #fd: number
  readonly #timer: NodeJS.Timeout
  readonly #flushed: (() => void)[] = []
  #filling = newChunk(chunkBytes)
  /** Full ones, oldest first. */
  #waiting: Chunk[] = []
  #waitingBytes = 0
  /** One that was written, for use again. */
  #spare: Chunk | undefined
  /** The one that is being written. */
  #writing: Chunk | undefined
  #droppedLines = 0

  constructor(fd: number) {
    this.#fd = fd
    this.#timer = setInterval(() => this.#writeNext(), flushEveryMs).unref()
    process.on('exit', this.flushSync)
  }

  /** Lines that did not reach the descriptor. */
  get droppedLines(): number {
    return this.#droppedLines
  }

  /** One line with its line feed. Never blocks and never throws. */
  write(line: string): void {
    // No UTF-16 unit takes more than three bytes.
    const room = this.#roomFor(line.length * 3)
    if (room === undefined) return
    room.length += room.bytes.write(line, room.length, 'utf8')
    room.lines += 1
  }

  /** The same for a line of ASCII alone, which costs a third. */
  writeAscii(line: string): void {
    const room = this.#roomFor(line.length)
    if (room === undefined) return
    room.length += room.bytes.write(line, room.length, 'latin1')
    room.lines += 1
  }

  /** Resolves when nothing waits any more, or when the reader's time is up. */
  flush(): Promise<void> {
    this.#writeNext()
    if (this.#writing === undefined) return Promise.resolve()
    return new Promise((resolve) => {
      const patience = setTimeout(resolve, flushPatienceMs)
      this.#flushed.push(() => {
        clearTimeout(patience)
        resolve()
      })
    })
  }

  /** Writes what waits before it returns, or gives up. For a process that is about to end. */
  readonly flushSync = (): void => {
    const deadline = performance.now() + flushPatienceMs
    for (const chunk of [...this.#waiting, this.#filling]) {
      if (!this.#writeSync(chunk, deadline)) this.#droppedLines += chunk.lines
    }
    this.#waiting = []
    this.#waitingBytes = 0
    this.#filling = newChunk(chunkBytes)
  }

  /** Stops the timer; for tests, a process has one stream for all its life. */
  close(): void {
    clearInterval(this.#timer)
    process.off('exit', this.flushSync)
  }

  /** The chunk that takes so many bytes; undefined (and counted) when the bound is reached. */
  #roomFor(bytes: number): Chunk | undefined {
    const { length } = this.#filling
    if (length + bytes <= this.#filling.bytes.length) return this.#filling
    if (this.#waitingBytes + length + bytes > waitingBytesMax) {
      this.#droppedLines += 1
      return undefined
    }
    if (length > 0) this.#queueFilling()
    if (bytes > chunkBytes) this.#filling = newChunk(bytes)
    if (this.#writing === undefined) this.#writeNext()
    return this.#filling
  }

  #queueFilling(): void {
    this.#waiting.push(this.#filling)
    this.#waitingBytes += this.#filling.length
    this.#filling = this.#spare ?? newChunk(chunkBytes)
    this.#spare = undefined
  }

  #writeNext(): void {
    if (this.#writing !== undefined) return
    if (this.#waiting.length === 0 && this.#filling.length > 0) this.#queueFilling()
    const chunk = this.#waiting.shift()
    if (chunk === undefined) return
    this.#waitingBytes -= chunk.length
    this.#writing = chunk
    this.#writeFrom(chunk, 0)
  }

  #writeFrom(chunk: Chunk, offset: number): void {
    write(this.#fd, chunk.bytes, offset, chunk.length - offset, null, (error, written) => {
      if (error !== null && isFull(error)) {
        setTimeout(() => this.#writeFrom(chunk, offset), retryAfterMs)
        return
      }
      if (error === null && offset + written < chunk.length) {
        this.#writeFrom(chunk, offset + written)
        return
      }
      if (error !== null) this.#droppedLines += chunk.lines
      this.#written(chunk)
    })
  }

  #written(chunk: Chunk): void {
    this.#writing = undefined
    if (chunk.bytes.length === chunkBytes) {
      chunk.length = 0
      chunk.lines = 0
      this.#spare = chunk
    }
    this.#writeNext()
    if (this.#writing === undefined) for (const resolve of this.#flushed.splice(0)) resolve()
  }

  #writeSync(chunk: Chunk, deadline: number): boolean {
    let offset = 0
    while (offset < chunk.length) {
      try {
        offset += writeSync(this.#fd, chunk.bytes, offset, chunk.length - offset)
      } catch (error) {
        if (!isFull(error) || performance.now() > deadline) return false
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryAfterMs)
      }
    }
    return true
  }
}

function newChunk(bytes: number): Chunk {
  return { bytes: Buffer.allocUnsafeSlow(bytes), length: 0, lines: 0 }
}

/** A pipe that takes nothing at the moment, as opposed to one that is broken. */
function isFull(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EAGAIN'
}
