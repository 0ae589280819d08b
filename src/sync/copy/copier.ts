/**
 * @module Copies one tag of a source, exactly: content first, the tag last. A reader sees the old image or
 * the whole new one. Ends in one of the fixed outcomes; throws only what the caller aborted with, and when
 * nothing can be written at all.
 */
import type { BlobFlights, FlightOwner } from '../../distribution/blob-flights.ts'
import type { SyncTagRow } from '../../metadata/rows/upstream.ts'
import type { Timestamp } from '../../metadata/schema.ts'
import type { Digest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/errors.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Tag } from '../../registry/tag.ts'
import type { Rate } from '../../runtime/token-bucket.ts'
import type { Rest } from '../../signing/signatures.ts'
import { UpstreamError } from '../../upstream/error.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import { SyncError, type SyncReason } from '../port.ts'
import { retryAtOf } from '../sources/failures.ts'
import { Attached, type AttachedTag } from './attached.ts'
import { BlobCopy, type BlobCopyParts } from './blobs.ts'
import { ALL_KINDS } from './kinds.ts'
import {
  type CopyCounts,
  type CopyPlan,
  type CopyResult,
  noCounts,
  type TagCopy,
} from './outcome.ts'
import { toSyncError } from './reasons.ts'
import { SourceRepository } from './source-repository.ts'
import {
  type Decided,
  type TagDecision,
  type TagMoveParts,
  TagMoves,
  type WantedTag,
} from './tag-move.ts'
import { CopyTree, OtherPlatform, type TreeParts } from './tree.ts'

/** Times that content is looked for again which a collection took before the tag moved. */
const roundsMax = 3

/** When a tag that failed is tried again, by how often it has, ms. */
const RETRY_MS = [60_000, 300_000, 900_000, 3_600_000]
export const retryMsMax = Math.max(...RETRY_MS)

/** What a signature policy is asked before a tag moves. */
export interface JudgedTag {
  readonly local: RepositoryName
  readonly tag: Tag
  readonly digest: Digest
  /** Whether the tag itself is to move, or only what is attached to it. */
  readonly isMoving: boolean
  /** Tags that are named after what it points at and move together with it, as things are now. */
  readonly attached: readonly AttachedTag[]
}

export type Verdict =
  | {
      readonly isAllowed: true
      /** What it rests on: it has to be there in the moment when the tag moves. */
      readonly rests?: readonly Rest[]
      /** Tags beside it that may not move. */
      readonly refused?: ReadonlySet<Tag>
      /** To be called when the tag has moved. */
      readonly onMoved?: (() => void) | undefined
    }
  | { readonly isAllowed: false; readonly message: string }

export interface CopierParts
  extends TreeParts,
    Omit<TagMoveParts, 'by' | 'metadata'>,
    Omit<BlobCopyParts, 'owner' | 'metadata' | 'clock'> {
  readonly upstream: Upstream
  /** Of the source, and of all sources: all of them are kept. */
  readonly byteRates: readonly Rate[]
  readonly flights: BlobFlights
  /** Default: every tag may move. */
  readonly judge?: (it: JudgedTag) => Promise<Verdict>
}

type Ended = Omit<CopyResult, 'counts'>

/** One walk over the content of a tag. */
class Round {
  readonly counts: CopyCounts
  readonly blobs: BlobCopy
  readonly tree: CopyTree
  readonly attached: Attached

  constructor(parts: CopierParts, owner: FlightOwner, it: TagCopy, isPlan: boolean) {
    const { local, platforms, isSparse = false, signal, listing } = it
    const { attached: wanted, kinds = ALL_KINDS } = it
    const counts = noCounts()
    this.counts = counts
    const { upstream, byteRates, clock, readManifest, metadata } = parts
    const name = it.repository
    const source = new SourceRepository({
      upstream,
      name,
      byteRates,
      clock,
      readManifest,
      counts,
      signal,
    })
    const common = { source, local, counts, signal, isPlan }
    this.blobs = new BlobCopy({ ...parts, owner }, common)
    const onPlanned = it.watch?.planned
    const walked = { ...common, blobs: this.blobs, platforms, isSparse }
    this.tree = new CopyTree(parts, { ...walked, ...(onPlanned && { onPlanned }) })
    const { tree } = this
    this.attached = new Attached({ ...common, tree, metadata, wanted, kinds, listing })
  }
}

export class TagCopier {
  readonly #parts: CopierParts
  readonly #moves: TagMoves
  readonly #owner: FlightOwner

  constructor(parts: CopierParts) {
    this.#parts = parts
    this.#moves = new TagMoves(parts)
    const { realm } = parts.upstream
    const nothing = { changesOf: () => [], onStored: () => undefined }
    this.#owner = { realm, isInteractive: false, ...nothing }
  }

  /**
   * Copies it, and notes in the journal what it came to, but for `gone`, where the caller asks for the tag
   * again, and for what only has to wait: `rate-limited` and `no-space` are no attempts.
   * On disk and visible when it resolves.
   */
  async copy(it: TagCopy): Promise<CopyResult> {
    const counts = noCounts()
    const { isNoted = false, ...ended }: Ended & { readonly isNoted?: boolean } =
      this.#stopped(it) ?? (await this.#rounds(it, counts))
    const isEnd = ended.outcome !== 'gone' && !isToWait(ended)
    if (!isNoted && isEnd) await this.#note(it, ended)
    return { ...ended, counts }
  }

  /** What a copy would do, found out by the same way; nothing is written. */
  async plan(it: TagCopy): Promise<CopyPlan> {
    const stopped = this.#stopped(it)
    const round = new Round(this.#parts, this.#owner, it, true)
    const ended = stopped ?? (await this.#bring(it, round))
    const { counts, blobs, tree, attached } = round
    const asked = counts.requests
    if (ended !== undefined) {
      const { outcome: action, isPassing: _isPassing, retryAt: _retryAt, ...why } = ended
      return { action, ...why, bytes: 0, requests: 0, asked }
    }
    const placed = await tree.placed()
    const isNew = placed.some((one) => one.isNew) || blobs.plannedRequests > 0
    const isUpdate = counts.attached > 0 || attached.tags.some((one) => this.#isToMove(it, one))
    const isMove = this.#moves.decide(wantedOf(it), it).kind === 'move'
    const action = isMove ? (isNew ? 'copy' : 'move') : isUpdate ? 'update_referrers' : 'unchanged'
    const requests = asked + blobs.plannedRequests
    return { action, bytes: blobs.plannedBytes, requests, asked }
  }

  #isToMove(it: TagCopy, { tag, digest }: AttachedTag): boolean {
    const rules = { onChange: 'follow', overwrite: it.overwrite } as const
    return this.#moves.decide({ ...wantedOf(it), tag, digest }, rules).kind === 'move'
  }

  /** What ends it before anything is asked. */
  #stopped(it: TagCopy): Ended | undefined {
    it.signal.throwIfAborted()
    return endOf(this.#moves.decide(wantedOf(it), it))
  }

  async #rounds(it: TagCopy, total: CopyCounts): Promise<Ended & { readonly isNoted?: true }> {
    for (let number = 0; number < roundsMax; number += 1) {
      const round = new Round(this.#parts, this.#owner, it, false)
      try {
        const ended = (await this.#bring(it, round)) ?? (await this.#finish(it, round))
        if (ended !== 'incomplete') return ended
      } catch (error) {
        // A child that was there went before what lists it came: it is brought again.
        const isAgain = error instanceof RegistryError && error.kind === 'MANIFEST_BLOB_UNKNOWN'
        if (!isAgain) return failed(toSyncError(error, it.signal))
      } finally {
        add(total, round.counts)
      }
    }
    return failed(new SyncError('internal', 'what was copied is collected each time', true))
  }

  /** The content, and what is attached to it. Undefined: all of it is in place. */
  async #bring(it: TagCopy, { tree, attached }: Round): Promise<Ended | undefined> {
    try {
      await tree.image(it.digest)
    } catch (error) {
      return endOfContent(error, it)
    }
    it.watch?.attaching()
    const placed = await tree.placed()
    await attached.of(placed.map(({ digest }) => digest))
    return undefined
  }

  async #finish(
    it: TagCopy,
    { tree, attached, counts }: Round,
  ): Promise<(Ended & { readonly isNoted?: true }) | 'incomplete'> {
    const { judge, source, clock, journal } = this.#parts
    const { local, tag, digest, signal } = it
    const { failure } = attached
    const isMoving = this.#moves.decide(wantedOf(it), it).kind === 'move'
    const moving = attached.tags.filter((one) => this.#moves.isFree(wantedOf(it), one, it))
    const verdict = await judge?.({ local, tag, digest, isMoving, attached: moving })
    if (verdict?.isAllowed === false) {
      return { outcome: 'rejected', reason: 'rejected', message: verdict.message }
    }
    const { rests = [], refused } = verdict ?? {}
    signal.throwIfAborted()
    const placed = await tree.placed()
    const before = journal.tag({ source, repository: it.repository, tag })
    let ended: Ended | undefined
    const moved = await this.#moves.move({
      main: wantedOf(it),
      row: (decided) => {
        ended = sparsely(endOfMove(decided, failure, counts, signal), tree)
        return rowOf(it, ended, { before, wrote: decided.wrote, now: clock.now() })
      },
      rules: it,
      attached: refused ? attached.tags.filter((one) => !refused.has(one.tag)) : attached.tags,
      judged: judge && { isMoving, rests },
      empty: attached.empty,
      placed: placed.map((one) => one.digest),
    })
    if (moved.kind === 'incomplete') return 'incomplete'
    if (moved.main.kind === 'move') verdict?.onMoved?.()
    counts.attachedConflicts += moved.conflicts
    counts.attached += moved.moved
    return { ...ended!, isNoted: true }
  }

  async #note(it: TagCopy, ended: Ended): Promise<void> {
    const { journal, source, clock } = this.#parts
    const { repository, tag, local } = it
    const before = journal.tag({ source, repository, tag })
    const wrote = before?.local === local ? before.wrote : undefined
    const row = rowOf(it, ended, { before, wrote, now: clock.now() })
    await journal.noteTag({ source, repository, tag }, row)
  }
}

function wantedOf({ repository, local, tag, digest }: TagCopy): WantedTag {
  return { repository, local, tag, digest }
}

/** What a decision against the tag is called. */
function endOf(decision: TagDecision): Ended | undefined {
  if (decision.kind === 'kept') return { outcome: 'kept', message: decision.message }
  if (decision.kind !== 'conflict') return undefined
  const { message, isImmutable } = decision
  return { outcome: 'conflict', message, ...(isImmutable ? { reason: 'immutable' } : {}) }
}

function endOfMove(
  { main, moved }: Decided,
  failure: unknown,
  counts: CopyCounts,
  signal: AbortSignal,
): Ended {
  const stopped = endOf(main)
  if (stopped !== undefined) return stopped
  if (failure !== undefined) {
    const { reason: why, message, isPassing } = toSyncError(failure, signal)
    const reason = why === 'suspicious-listing' ? why : 'referrers'
    return { outcome: 'failed', reason, message, isPassing }
  }
  if (main.kind === 'move') return { outcome: 'copied' }
  if (counts.attached + moved > 0) return { outcome: 'referrers_updated' }
  // What was lost here came again.
  return { outcome: counts.manifests + counts.downloadedBytes > 0 ? 'copied' : 'unchanged' }
}

/** Says of an image that is here what upstream lacks of it. */
function sparsely(ended: Ended, { lacking }: CopyTree): Ended {
  if (lacking === 0 || ended.reason !== undefined || !LOOKED_AT.has(ended.outcome)) return ended
  return {
    ...ended,
    reason: 'sparse',
    message: `upstream itself lacks ${lacking} of its manifests`,
  }
}

/** No repetition mends what these are about: it is what upstream has. */
const SKIPS: ReadonlySet<SyncReason> = new Set(['too-large', 'bad-manifest', 'schema-1'])

/** Why the image itself is not here. Throws what `toSyncError` throws, and what another round may mend. */
function endOfContent(error: unknown, { signal }: TagCopy): Ended {
  if (signal.aborted) throw signal.reason
  if (error instanceof RegistryError && error.kind === 'MANIFEST_BLOB_UNKNOWN') throw error
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof OtherPlatform) return { outcome: 'skipped', reason: 'platform', message }
  if (error instanceof UpstreamError && error.kind === 'missing')
    return { outcome: 'gone', message }
  return failed(toSyncError(error, signal))
}

function failed(error: SyncError): Ended {
  const { reason, message, isPassing } = error
  if (SKIPS.has(reason)) return { outcome: 'skipped', reason, message }
  const retryAt = retryAtOf(error)
  const wait = retryAt === undefined ? {} : { retryAt }
  return { outcome: 'failed', reason, message, isPassing, ...wait }
}

/** Whether a copy failed for what time or room alone mends. */
export function isToWait({ outcome, reason }: Pick<CopyResult, 'outcome' | 'reason'>): boolean {
  return outcome === 'failed' && (reason === 'rate-limited' || reason === 'no-space')
}

interface RowFacts {
  readonly before: SyncTagRow | undefined
  readonly wrote: Digest | undefined
  readonly now: Timestamp
}

function rowOf(it: TagCopy, ended: Ended, { before, wrote, now }: RowFacts): SyncTagRow {
  const { local, digest, pushedAt, attached } = it
  const { outcome, reason, message } = ended
  const isFailed = outcome === 'failed'
  const attempts = isFailed ? (before?.upstream === digest ? before.attempts : 0) + 1 : 0
  const isLookedAt = attached === 'all' && LOOKED_AT.has(outcome)
  const checkedAt = isLookedAt ? now : before?.referrersCheckedAt
  return {
    local,
    outcome,
    at: now,
    attempts,
    upstream: digest,
    ...(wrote === undefined ? {} : { wrote }),
    ...(pushedAt === undefined ? {} : { pushedAt }),
    ...(checkedAt === undefined ? {} : { referrersCheckedAt: checkedAt }),
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message: message.slice(0, messageLengthMax) }),
    ...(isFailed ? { nextRetryAt: now + retryMs(attempts) } : {}),
  }
}

const LOOKED_AT: ReadonlySet<string> = new Set(['copied', 'unchanged', 'referrers_updated'])

/** Longest message that is kept, characters. */
const messageLengthMax = 300

/** How long a tag waits that has failed so often in a row. */
export function retryMs(attempts: number): number {
  return RETRY_MS[Math.min(attempts, RETRY_MS.length) - 1]!
}

function add(total: CopyCounts, some: CopyCounts): void {
  for (const name of Object.keys(total) as (keyof CopyCounts)[]) total[name] += some[name]
}
