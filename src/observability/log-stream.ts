/**
 * @module Where log lines leave the process: gathered, written in the background, bounded. A slow
 * reader, a full disk or a closed pipe behind the descriptor costs lines (they are counted), never
 * the server and never its stop. (pino's own destination waits without end when a write at exit
 * fails with ENOSPC.)
 */
import { write, writeSync } from 'node:fs'

/** Bytes gathered before a write; what is less waits for `flushEveryMs`. */
const writeBytesMin = 64 * 1024
const flushEveryMs = 100

/** Text that waits for a slow reader, characters; what would go beyond is dropped and counted. */
const pendingLengthMax = 8 * 1024 * 1024

/** Between two attempts on a pipe that is full. */
const retryAfterMs = 10

/** How long a flush waits for a reader that does not read. */
const flushPatienceMs = 1000

export class LogStream {
  readonly #fd: number
  readonly #timer: NodeJS.Timeout
  readonly #flushed: (() => void)[] = []
  /** Not yet handed to the system. */
  #pending = ''
  #pendingLines = 0
  /** Lines of the write that is under way; 0 while there is none. */
  #writingLines = 0
  #droppedLines = 0

  constructor(fd: number) {
    this.#fd = fd
    this.#timer = setInterval(() => this.#writePending(), flushEveryMs).unref()
    process.on('exit', this.flushSync)
  }

  /** Lines that did not reach the descriptor. */
  get droppedLines(): number {
    return this.#droppedLines
  }

  /** One line with its line feed. Never blocks and never throws. */
  write(line: string): void {
    if (this.#pending.length + line.length > pendingLengthMax) {
      this.#droppedLines += 1
      return
    }
    this.#pending += line
    this.#pendingLines += 1
    if (this.#pending.length >= writeBytesMin) this.#writePending()
  }

  /** Resolves when nothing waits any more, or when the reader's time is up. */
  flush(): Promise<void> {
    this.#writePending()
    if (this.#writingLines === 0) return Promise.resolve()
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
    let rest: Uint8Array = Buffer.from(this.#pending)
    const deadline = performance.now() + flushPatienceMs
    while (rest.length > 0) {
      try {
        rest = rest.subarray(writeSync(this.#fd, rest))
      } catch (error) {
        if (!isFull(error) || performance.now() > deadline) break
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryAfterMs)
      }
    }
    if (rest.length > 0) this.#droppedLines += this.#pendingLines
    this.#pending = ''
    this.#pendingLines = 0
  }

  /** Stops the timer; for tests, a process has one stream for all its life. */
  close(): void {
    clearInterval(this.#timer)
    process.off('exit', this.flushSync)
  }

  #writePending(): void {
    if (this.#writingLines > 0 || this.#pendingLines === 0) return
    const chunk = Buffer.from(this.#pending)
    this.#writingLines = this.#pendingLines
    this.#pending = ''
    this.#pendingLines = 0
    this.#writeChunk(chunk)
  }

  #writeChunk(chunk: Uint8Array): void {
    write(this.#fd, chunk, (error, written) => {
      if (error !== null && isFull(error)) {
        setTimeout(() => this.#writeChunk(chunk), retryAfterMs)
        return
      }
      if (error === null && written < chunk.length) {
        this.#writeChunk(chunk.subarray(written))
        return
      }
      if (error !== null) this.#droppedLines += this.#writingLines
      this.#writingLines = 0
      if (this.#pendingLines > 0) this.#writePending()
      else for (const resolve of this.#flushed.splice(0)) resolve()
    })
  }
}

/** A pipe that takes nothing at the moment, as opposed to one that is broken. */
function isFull(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EAGAIN'
}
