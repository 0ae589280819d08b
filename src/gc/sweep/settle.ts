/**
 * @module Settles batches of a sweep or a purge: hands them to the writer, has the files that lost
 * their row moved, keeps the pace and counts. The files follow their rows under the locks that
 * pushes of the same blobs take, and only while no row counts on them: whoever holds such a lock and
 * sees no row sees a file that nobody will claim (invariant 5).
 */

import type { MetadataStore } from '../../metadata/port.ts'
import type { Candidate, Stay, Verdict } from '../../metadata/sweep.ts'
import type { Digest } from '../../registry/digest.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { KeyedLock } from '../../runtime/keyed-lock.ts'
import { Rate } from '../../runtime/token-bucket.ts'
import type { DoFiles } from '../run-task.ts'
import type { Counts } from '../worker/messages.ts'

export interface SettleOptions {
  readonly metadata: MetadataStore
  readonly digestLock: KeyedLock
  /** Drops what is cached of a blob's file. */
  readonly forget: (digest: Digest) => void
  /** Files of blobs follow their rows by themselves, on every node: nothing is moved here. */
  readonly filesFollow?: boolean | undefined
  readonly clock: Clock
  /** For the history: `collection`, or who asked. */
  readonly by: string
  /** Age below which a pull keeps a manifest, ms. */
  readonly pulledWithinMs: number
  /** Nothing can be restored (an undelete window of 0). */
  readonly isFinal: boolean
  /** Bytes freed per second at most; 0 is no limit. */
  readonly bytesPerSecond: number
  readonly maxPauseMs: number
  /** Asked again for every item: a repository may have become a mirror since. */
  readonly isMirrored: (repository: string) => boolean
  /** Told each item that was skipped. */
  readonly onSkipped: (candidate: Candidate, why: string) => void
}

/** The time that a batch has taken counts as paid, up to so much, seconds. */
const batchSecondsMax = 60

const candidatesMin = 64
/**
 * The pages of one commit are memory of the writer, the batches under way are memory of this thread,
 * and whoever writes meanwhile waits for the flush: some 1,700 pages, 50 ms. A third of it makes a run
 * a quarter longer (measured with a million blobs).
 */
const candidatesMax = 1_536

/** While nobody else writes, a step of the writer may be so many times longer. */
const aloneFactor = 4

/** How long a batch rests while others write, as a multiple of the time it took, and at most, ms. */
const restFactor = 3
const restMsMax = 300

/** The index of candidates is nobody's data. */
const isHousekeeping = ({ kind }: Candidate) => kind === 'suspect' || kind === 'in-use'

/** A blob to purge whose bytes are to go before its row does: no verdict could say it in time. */
const isFile = (it: Candidate): it is Extract<Candidate, { kind: 'purged-blob' }> =>
  it.kind === 'purged-blob' && it.hasObject

export class Settler {
  readonly #options: SettleOptions
  readonly counts: Counts = {}
  /** Bytes that rows gave up, and those whose room on the disk is free by now. */
  bytes = 0
  freedBytes = 0
  /** Bytes of those given up whose room is free at once. */
  finalBytes = 0
  #atOnce = 64
  #ownCommits = 0
  #paidBytes = 0
  readonly #byteRate: Rate
  #seenCommits: number

  constructor(options: SettleOptions) {
    this.#options = options
    this.#seenCommits = options.metadata.commitCount
    this.#byteRate = new Rate(options.bytesPerSecond, options.clock, 'nothing', batchSecondsMax)
  }

  /** Resolves when all of them are on disk, to how many the next batch should have. */
  async settle(candidates: readonly Candidate[], doFiles: DoFiles): Promise<number> {
    const { clock } = this.#options
    const startedAt = clock.monotonic()
    const admitted = candidates.filter((it) => this.#isAdmitted(it))
    const turnMs = clock.monotonic() - startedAt
    const movesFiles = !this.#options.filesFollow && admitted.some(isFile)
    const writerMs = movesFiles
      ? await this.#purgeFiles(admitted, doFiles)
      : await this.#commit(admitted, doFiles)
    const othersWrote = this.#othersWrote()
    this.#adapt(admitted.length, turnMs, writerMs, othersWrote)
    await this.#keepPace(startedAt, othersWrote)
    return this.#atOnce
  }

  /** The run is about to write something else: that is nobody who would have to wait for it. */
  noteOwnCommit(): void {
    this.#ownCommits += 1
  }

  #isAdmitted(candidate: Candidate): boolean {
    const { kind } = candidate
    if (kind !== 'tag' && kind !== 'manifest' && kind !== 'link') return true
    if (!this.#options.isMirrored(candidate.repository)) return true
    this.#skip(candidate, 'the repository belongs to a mirror')
    return false
  }

  /** How long the writer worked on it, ms. */
  async #commit(candidates: readonly Candidate[], doFiles: DoFiles): Promise<number> {
    if (candidates.length === 0) return 0
    const { metadata, clock, by, pulledWithinMs, isFinal } = this.#options
    const at = clock.now()
    this.#ownCommits += 1
    const batch = { at, by, pulledAfter: at - pulledWithinMs, isFinal, candidates }
    const outcome = await metadata.commit({
      checks: [],
      changes: [{ change: 'sweep', in: 'candidates', batch }],
    })
    if (!outcome.applied) throw new Error('a sweep without checks was refused')
    const verdicts = new Map(outcome.verdicts!.map((it) => [it.index, it]))
    const trashed: Digest[] = []
    for (const [index, candidate] of candidates.entries()) {
      const verdict = verdicts.get(index)
      if (verdict?.is === 'stays') this.#skip(candidate, STAYS[verdict.why])
      else this.#account(candidate, verdict)
      if (candidate.kind === 'blob' && verdict?.is === 'bytes-left') trashed.push(candidate.digest)
    }
    if (trashed.length > 0 && !this.#options.filesFollow) await this.#moveToTrash(trashed, doFiles)
    return outcome.tookMs ?? 0
  }

  /** A file that cannot be moved stays where it is, without a row; the purge looks there too. */
  async #moveToTrash(digests: readonly Digest[], doFiles: DoFiles): Promise<void> {
    const { metadata, digestLock, forget } = this.#options
    await digestLock.runAll(digests, async () => {
      // Pushed again, or restored, since the commit: then the file is in use.
      const unused = digests.filter(
        (digest) =>
          metadata.get('blobs', digest) === undefined &&
          metadata.get('trash', digest) !== undefined,
      )
      for (const digest of unused) forget(digest)
      const failed = await doFiles({ to: 'trash', digests: unused })
      if (failed.size > 0) this.#count('notMoved', failed.size)
    })
  }

  /** Files go before their rows: what has no row any more could not be found. */
  async #purgeFiles(candidates: readonly Candidate[], doFiles: DoFiles): Promise<number> {
    const { metadata, digestLock, forget } = this.#options
    const files = candidates.filter(isFile)
    const digests = files.map(({ digest }) => digest)
    return digestLock.runAll(digests, async () => {
      const gone: Digest[] = []
      const back: Digest[] = []
      for (const { digest, at } of files) {
        // Restored, or swept anew since the worker looked: the writer skips it.
        if (metadata.get('trash', digest)?.trashedAt !== at) continue
        // Pushed again meanwhile: then the file in place is that push's.
        if (metadata.get('blobs', digest) !== undefined) back.push(digest)
        else {
          forget(digest)
          gone.push(digest)
        }
      }
      const failed = new Set<Digest>()
      for (const [part, inPlace] of [[gone, true] as const, [back, false] as const]) {
        if (part.length === 0) continue
        for (const digest of await doFiles({ to: 'nowhere', digests: part, inPlace })) {
          failed.add(digest)
        }
      }
      if (failed.size > 0) this.#count('notPurged', failed.size)
      const done = candidates.filter((it) => !isFile(it) || !failed.has(it.digest))
      return this.#commit(done, doFiles)
    })
  }

  #othersWrote(): boolean {
    const { commitCount } = this.#options.metadata
    const others = commitCount - this.#seenCommits - this.#ownCommits
    this.#seenCommits = commitCount
    this.#ownCommits = 0
    return others > 0
  }

  /** A step is short for both: this thread, which copies it, and the writer, whom clients wait for. */
  #adapt(count: number, turnMs: number, writerMs: number, othersWrote: boolean): void {
    const { maxPauseMs } = this.#options
    const budgetMs = othersWrote ? maxPauseMs : maxPauseMs * aloneFactor
    const share = Math.max(turnMs / (maxPauseMs / 8), writerMs / budgetMs, 0.5)
    const wanted = Math.round(Math.min(count, this.#atOnce) / share)
    this.#atOnce = Math.max(candidatesMin, Math.min(candidatesMax, wanted))
  }

  async #keepPace(startedAt: number, othersWrote: boolean): Promise<void> {
    const now = this.#options.clock.monotonic()
    const tookMs = now - startedAt
    const forBytesMs = this.#payMs()
    // While others write, most of the writer's time is theirs: two batches are under way, and with a
    // rest of once their time pushes kept 0.68 of their rate (measured, a million blobs).
    const restMs = othersWrote ? Math.min(restFactor * tookMs, restMsMax) : 0
    const waitMs = Math.max(forBytesMs, restMs)
    if (waitMs >= 1) await new Promise((resolve) => setTimeout(resolve, Math.min(waitMs, 60_000)))
  }

  /** How long what went so far has to wait, ms; batches under way together pay one after the other. */
  #payMs(): number {
    const bytes = this.bytes + this.freedBytes
    const waitMs = this.#byteRate.take(bytes - this.#paidBytes)
    this.#paidBytes = bytes
    return waitMs
  }

  #account(candidate: Candidate, verdict: Verdict | undefined): void {
    if (isHousekeeping(candidate)) return
    this.#count(candidate.kind)
    if (!('bytes' in candidate)) return
    if (isFile(candidate)) {
      this.freedBytes += candidate.bytes
      return
    }
    this.bytes += candidate.bytes
    const isGone = candidate.kind === 'blob' && verdict === undefined
    if (isGone && this.#options.isFinal) this.finalBytes += candidate.bytes
  }

  #skip(candidate: Candidate, why: string): void {
    if (isHousekeeping(candidate)) return
    this.#count('skipped')
    this.#options.onSkipped(candidate, why)
  }

  #count(what: string, by = 1): void {
    this.counts[what] = (this.counts[what] ?? 0) + by
  }
}

/** Why a candidate stays, for logs. */
const STAYS: Readonly<Record<Stay, string>> = {
  back: 'the manifest is back',
  changed: 'it changed since the plan was made',
  gone: 'it is gone already',
  'in-a-manifest': 'a manifest uses the blob',
  'in-a-repository': 'a repository holds the blob',
  listed: 'an index lists the manifest',
  moved: 'the tag was moved',
  pinned: 'the digest is pinned',
  pulled: 'it was pulled',
  'pushed-again': 'the tag was pushed again',
  'relied-on': 'the manifest was pushed, untagged or asked for',
  'subject-is-here': 'the manifest that it refers to is here',
  tagged: 'a tag points at the manifest',
  'used-again': 'the blob is used again',
}
