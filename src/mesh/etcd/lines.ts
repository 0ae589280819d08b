/**
 * @module What etcd writes, as lines of the node's log: bounded in length and rate, for an etcd in trouble
 * writes thousands of lines a second.
 */

import type { Clock } from '../../runtime/clock.ts'
import { TokenBucket } from '../../runtime/token-bucket.ts'
import { LINE_MAX, LINES_BURST, LINES_PER_SECOND, TAIL_LINES } from './limits.ts'

/** The part of the node's log that is needed. */
export type LineLog = Readonly<
  Record<'debug' | 'warn' | 'error', (fields: object, message: string) => void>
>

const LEVELS: Readonly<Record<string, keyof LineLog>> = {
  debug: 'debug',
  info: 'debug',
  warn: 'warn',
  error: 'error',
  dpanic: 'error',
  panic: 'error',
  fatal: 'error',
}

/** What etcd says when it was removed, as it ends. */
const REMOVED = /the member has been permanently removed|member (?:has|was) (?:been )?removed from/

export class EtcdLines {
  readonly #log: LineLog
  readonly #bucket: TokenBucket
  readonly #tail: string[] = []
  #rest = ''
  #dropped = 0
  #isRemoved = false

  constructor(log: LineLog, clock: Pick<Clock, 'monotonic'>) {
    this.#log = log
    this.#bucket = new TokenBucket({ burst: LINES_BURST, perSecond: LINES_PER_SECOND, clock })
  }

  /** Whether it said that etcd has removed it. */
  get isRemoved(): boolean {
    return this.#isRemoved
  }

  /** The last things that it said, for a message. */
  get tail(): string {
    return this.#tail.join('; ')
  }

  /** Takes what has come, which need not end with a line. */
  push(text: string): void {
    const lines = text.split('\n')
    for (const [at, line] of lines.entries()) {
      // A line without end takes no more than its bound.
      if (this.#rest.length < LINE_MAX) this.#rest += line.slice(0, LINE_MAX - this.#rest.length)
      if (at === lines.length - 1) return
      const whole = this.#rest
      this.#rest = ''
      if (whole !== '') this.#take(whole)
    }
  }

  #take(line: string): void {
    const { level, message, fields } = read(line)
    if (REMOVED.test(line)) this.#isRemoved = true
    if (level !== 'debug') {
      this.#tail.push(message.slice(0, 300))
      if (this.#tail.length > TAIL_LINES) this.#tail.shift()
    }
    if (this.#bucket.waitMs(1) > 0) {
      this.#dropped += 1
      return
    }
    this.#bucket.take(1)
    if (this.#dropped > 0) {
      this.#log.warn({ lines: this.#dropped }, 'etcd wrote more lines than its log takes')
      this.#dropped = 0
    }
    this.#log[level](fields, `etcd: ${message}`)
  }
}

/** A line of zap; anything else is a complaint about flags, or a crash. */
function read(line: string): { level: keyof LineLog; message: string; fields: object } {
  const other = { level: 'warn' as const, message: line, fields: {} }
  if (!line.startsWith('{')) return other
  try {
    const all = JSON.parse(line) as Readonly<Record<string, unknown>>
    const { level, msg, error } = all
    if (typeof level !== 'string' || typeof msg !== 'string') return other
    const fields = typeof error === 'string' ? { error } : {}
    return { level: LEVELS[level] ?? 'warn', message: msg, fields }
  } catch {
    return other
  }
}
