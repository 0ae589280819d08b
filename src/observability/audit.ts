/**
 * @module The audit trail: one JSON line per change and per refusal, to a file of its own or to
 * standard output. Any feature may write to it. Holds names and digests, never a credential: the
 * fields are named one by one, and what a stranger typed as a user name is not among them.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { LogStream } from './log-stream.ts'

export interface AuditRecord {
  /** What was done or asked for: `push`, `delete`, `mount`, `login`, `logout`, `admin` … */
  readonly action: string
  readonly decision: 'done' | 'refused'
  /** Empty: anonymous; undefined: the program itself. */
  readonly user: string | undefined
  /** How the caller was told: `basic`, `bearer`, `access-token`, `session`, `none`. */
  readonly via?: string | undefined
  readonly address?: string | undefined
  readonly repository?: string | undefined
  /** Tag or digest as it was named. */
  readonly reference?: string | undefined
  readonly digest?: string | undefined
  readonly requestId?: string | undefined
  readonly status?: number | undefined
  /** Number of the access rule that decided; 0: the built-in one. */
  readonly rule?: number | undefined
  /** Why something was refused, as a word (`wrong-credentials`, `throttled`, `not-allowed` …). */
  readonly reason?: string | undefined
  /** Path of an administrative request. */
  readonly path?: string | undefined
  /** Refusals of one kind that this line stands for, from `since` on (`refusal-sums.ts`). */
  readonly count?: number | undefined
  readonly since?: string | undefined
}

export interface AuditSink {
  write(line: string): void
  flush(): Promise<void>
}

export class AuditTrail {
  readonly #now: () => number
  readonly #path: string | undefined
  #sink: AuditSink
  /** Of files that were moved away. */
  #droppedBefore = 0

  /** `path` of the file, or `stdout`. Throws when the file cannot be opened. */
  static open(path: string, standardOutput: AuditSink, now: () => number): AuditTrail {
    if (path === 'stdout') return new AuditTrail(standardOutput, undefined, now)
    mkdirSync(dirname(path), { recursive: true, mode: 0o750 })
    return new AuditTrail(new FileSink(path), path, now)
  }

  constructor(sink: AuditSink, path: string | undefined, now: () => number) {
    this.#sink = sink
    this.#path = path
    this.#now = now
  }

  write(record: AuditRecord): void {
    const time = new Date(this.#now()).toISOString()
    this.#sink.write(`${JSON.stringify({ event: 'audit', time, ...record })}\n`)
  }

  /** Lines that did not reach the file; those of standard output are counted with the log's. */
  get droppedLines(): number {
    const now = this.#sink instanceof FileSink ? this.#sink.droppedLines : 0
    return this.#droppedBefore + now
  }

  /** Goes on in a new file of the same name: the old one was moved away. Nothing is lost. */
  reopen(): void {
    if (this.#path === undefined) return
    const old = this.#sink
    this.#sink = new FileSink(this.#path)
    if (!(old instanceof FileSink)) return
    const { droppedLines } = old
    this.#droppedBefore += droppedLines
    void old.close().then(() => {
      this.#droppedBefore += old.droppedLines - droppedLines
    })
  }

  /** Resolves when what was written so far has left the process, or cannot. */
  flush(): Promise<void> {
    return this.#sink.flush()
  }

  async close(): Promise<void> {
    if (this.#sink instanceof FileSink) await this.#sink.close()
    else await this.#sink.flush()
  }
}

class FileSink implements AuditSink {
  readonly #descriptor: number
  readonly #stream: LogStream

  constructor(path: string) {
    this.#descriptor = openSync(path, 'a', 0o640)
    this.#stream = new LogStream(this.#descriptor)
  }

  get droppedLines(): number {
    return this.#stream.droppedLines
  }

  write(line: string): void {
    this.#stream.write(line)
  }

  flush(): Promise<void> {
    return this.#stream.flush()
  }

  async close(): Promise<void> {
    await this.#stream.flush()
    this.#stream.close()
    closeSync(this.#descriptor)
  }
}
