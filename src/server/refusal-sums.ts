/**
 * @module Keeps refusals from filling the audit trail's disk: after the first few of one kind (client,
 * reason, user) they are summed up, one line a minute with their count. Nothing is left out of a count.
 */

import type { AuditRecord } from '../observability/audit.ts'
import { clientKey } from '../runtime/client-key.ts'

/** Lines of one kind that are written one by one, until it has been quiet for so long, ms. */
const singlesMax = 64
const quietMs = 60 * 60 * 1000

/** How often sums are written, ms. */
const sumMs = 60_000

/** Kinds that are told apart; those beyond are summed up by their reason alone. */
const kindsMax = 10_000

interface Kind {
  written: number
  lastAt: number
  count: number
  since: number
  last: AuditRecord
  readonly isOfMany: boolean
}

export class RefusalSums {
  readonly #write: (record: AuditRecord) => void
  readonly #now: () => number
  readonly #kinds = new Map<string, Kind>()
  readonly #timer: NodeJS.Timeout

  /** Writes what it is given and what it sums up with `write`; `now`: ms since the epoch. */
  constructor(write: (record: AuditRecord) => void, now: () => number) {
    this.#write = write
    this.#now = now
    this.#timer = setInterval(() => this.writeSums(), sumMs)
    this.#timer.unref()
  }

  add(record: AuditRecord): void {
    const now = this.#now()
    const kind = this.#kindOf(record, now)
    kind.lastAt = now
    kind.last = record
    if (kind.written < singlesMax) {
      kind.written += 1
      this.#write(record)
      return
    }
    if (kind.count === 0) kind.since = now
    kind.count += 1
  }

  /** Writes every count that is not written yet. */
  writeSums(): void {
    const now = this.#now()
    for (const [key, kind] of this.#kinds) {
      if (kind.count > 0) this.#write(sumOf(kind))
      kind.count = 0
      if (now - kind.lastAt > quietMs) this.#kinds.delete(key)
    }
  }

  close(): void {
    clearInterval(this.#timer)
    this.writeSums()
  }

  #kindOf(record: AuditRecord, now: number): Kind {
    const { address = '', reason = '', user = '' } = record
    const own = `${clientKey(address)} ${reason} ${user}`
    const isOfMany = !this.#kinds.has(own) && this.#kinds.size >= kindsMax
    const key = isOfMany ? `* ${reason}` : own
    let kind = this.#kinds.get(key)
    if (kind === undefined) {
      kind = { written: 0, lastAt: now, count: 0, since: now, last: record, isOfMany }
      this.#kinds.set(key, kind)
    }
    return kind
  }
}

/** What all of them have in common. */
function sumOf({ last, count, since, isOfMany }: Kind): AuditRecord {
  const { action, decision, user, via, address, reason } = last
  const who = isOfMany ? { user: undefined } : { user, via, address }
  return { action, decision, ...who, reason, count, since: new Date(since).toISOString() }
}
