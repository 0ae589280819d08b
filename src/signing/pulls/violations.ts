/**
 * @module Pulls that a policy refused, or would refuse: how often, and who asked last. Counted in memory and written
 * down in batches, so that a pull costs no write; a crash loses the last seconds.
 */
import { recordEvent } from '../../metadata/edits.ts'
import type { MetadataStore } from '../../metadata/port.ts'
import type { Change } from '../../metadata/transaction.ts'
import {
  type PullerRow,
  type PullViolationRow,
  pullersMax,
  type TriedRow,
  type VerdictState,
} from '../../metadata/verdicts/rows.ts'
import type { Digest } from '../../registry/digest.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Policy } from '../policies.ts'

/** Who pulls, and how. */
export interface Puller {
  readonly method: string
  readonly remoteAddress: string
  readonly caller: {
    readonly kind: 'anonymous' | 'user'
    /** Empty for anonymous. */
    readonly name: string
    readonly groups: readonly string[]
  }
  keepAddress(): void
}

/** A pull that its policy does not want. */
export interface Violating {
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly state: VerdictState | 'error'
  readonly message: string
  readonly tried: readonly TriedRow[]
}

/** How often they are written down, ms. */
const writeEveryMs = 10_000

/** Manifests that are noted between two writes; pulls of more are not noted. */
const notedMax = 10_000

/** Rows of one transaction. */
const rowsAtOnce = 200

export class PullViolations {
  readonly #metadata: MetadataStore
  readonly #clock: Clock
  #noted = new Map<string, PullViolationRow>()
  /** On their way to the disk. */
  #leaving = new Map<string, PullViolationRow>()
  #writing: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  constructor(metadata: MetadataStore, clock: Clock) {
    this.#metadata = metadata
    this.#clock = clock
  }

  start(): void {
    this.#timer = setInterval(() => void this.write(), writeEveryMs)
    this.#timer.unref()
  }

  /** One pull. */
  note(policy: Policy, { repository, digest, state, message }: Violating, puller: Puller): void {
    const key = `${repository}@${digest}`
    const before =
      this.#noted.get(key) ?? this.#leaving.get(key) ?? this.#metadata.get('pullViolations', key)
    if (!this.#noted.has(key) && this.#noted.size >= notedMax) return
    const at = this.#clock.now()
    const isSame = before?.policy === policy.name && before.mode === policy.mode
    const since = isSame ? before : undefined
    const row: PullViolationRow = {
      policy: policy.name,
      mode: policy.mode,
      state,
      message,
      count: (since?.count ?? 0) + 1,
      firstAt: since?.firstAt ?? at,
      lastAt: at,
      pullers: withPuller(since?.pullers ?? [], puller, at),
    }
    this.#noted.set(key, row)
    // Once a verdict: what follows is counted.
    if (policy.mode === 'enforce' && since?.state !== state) this.#tell(repository, digest, row)
  }

  #tell(repository: RepositoryName, digest: Digest, row: PullViolationRow): void {
    const { user, address } = row.pullers[0]!
    const by = user === '' ? address : user
    const at = row.lastAt
    const why = row.message
    const event = recordEvent({ at, action: 'pull-denied', repository, by, digest, why })
    // What the disk does not take is in the log of refusals.
    this.#metadata.commit({ checks: [], changes: [event] }).catch(() => undefined)
  }

  /** Writes down what was noted. What the disk refuses is lost: these are only counts. */
  write(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      this.#leaving = this.#noted
      this.#noted = new Map()
      await this.#write([...this.#leaving]).catch(() => undefined)
      this.#leaving = new Map()
    })
    return this.#writing
  }

  async #write(noted: readonly (readonly [string, PullViolationRow])[]): Promise<void> {
    for (let start = 0; start < noted.length; start += rowsAtOnce) {
      const changes = noted
        .slice(start, start + rowsAtOnce)
        .map(([key, row]): Change => ({ change: 'put', in: 'pullViolations', key, row }))
      await this.#metadata.commit({ checks: [], changes })
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.write()
  }
}

/** The last one first. */
function withPuller(
  before: readonly PullerRow[],
  { caller, remoteAddress: address }: Puller,
  lastAt: number,
): PullerRow[] {
  const user = caller.name
  const isIt = (one: PullerRow) => one.user === user && one.address === address
  const count = (before.find(isIt)?.count ?? 0) + 1
  const others = before.filter((one) => !isIt(one))
  return [{ user, address, count, lastAt }, ...others].slice(0, pullersMax)
}
