/**
 * @module The walk that makes a plan, inside a worker. Sequential reads of indexes, no walk of the
 * disk: repositories (tags and manifests), then the candidates among the blobs. Items go to a file as they are found, so memory does not grow
 * with the plan. Among the blobs it looks at the candidates that the writer keeps account of
 * (`metadata/apply/change.ts`), so that a store in which nothing happened costs nothing. The walk can be interrupted between two repositories or blobs and go on from there.
 *
 * What it sees may be untrue a moment later: applying looks again inside each transaction.
 */

import { justAfter, lastText } from '../../metadata/key-order.ts'
import type { LmdbEnvironment } from '../../metadata/lmdb/environment.ts'
import type { BlobRow, LinkRow } from '../../metadata/schema.ts'
import type { Candidate } from '../../metadata/sweep.ts'
import { cutoffMs } from '../../registry/grace.ts'
import { parseRepositoryName } from '../../registry/name.ts'
import type { PlanItem } from '../plan/item.ts'
import type { PlannedManifests } from '../plan/planned.ts'
import { type MarkOptions, markRepository } from './repository.ts'
import { DigestStream, WorkerRows } from './stored-rows.ts'

export type MarkStage = 'repositories' | 'blobs' | 'done'

export interface MarkCursor {
  readonly stage: MarkStage
  /** Name or digest behind which to go on. */
  readonly after: string | undefined
}

export interface WalkOptions extends MarkOptions {
  readonly environment: LmdbEnvironment
  readonly isMirrored: (repository: string) => boolean
  readonly isStopped: () => boolean
  /** An item of the plan. */
  readonly onItem: (item: PlanItem) => void
  /** News for the index of candidates. */
  readonly onCandidate: (candidate: Candidate) => Promise<void>
  /** A blob of a manifest that goes; known to the index when `onStep` of another stage resolves. */
  readonly onSuspect: (digest: string) => void
  /** Rules that would delete tags and may not. */
  readonly onHeld: (tags: number, rules: ReadonlySet<string>) => void
  /** Called between steps; waits where it must (the file, the pace). */
  readonly onStep: (cursor: MarkCursor) => Promise<void>
}

/** Repositories between two visits of `onStep`. */
const repositoriesPerStep = 50

/**
 * `planned`: manifests of an earlier part of the same plan. Their blobs are suspects from the moment
 * in which the plan is made: the index is told first.
 */
export async function walk(
  options: WalkOptions,
  planned: PlannedManifests,
  from: MarkCursor,
): Promise<void> {
  let { stage, after } = from
  if (stage === 'repositories') {
    await walkRepositories(options, planned, after)
    stage = 'blobs'
    after = undefined
    // Tells the suspects of the last repositories too.
    if (!options.isStopped()) await options.onStep({ stage, after })
  }
  if (stage === 'blobs' && !options.isStopped()) {
    await walkCandidates(options, planned, after)
  }
  if (!options.isStopped()) await options.onStep({ stage: 'done', after: undefined })
}

async function walkRepositories(
  options: WalkOptions,
  planned: PlannedManifests,
  after: string | undefined,
): Promise<void> {
  const { environment, isMirrored, isStopped, onItem, onHeld, onStep } = options
  const rows = new WorkerRows(environment)
  const names = new DigestStream(environment, 'repositories', after)
  let sinceStep = 0
  for (let key = names.peek(); key !== undefined && !isStopped(); key = names.peek()) {
    names.next()
    const name = parseRepositoryName(key[0]!)
    if (!name.ok || isMirrored(name.value)) continue
    const marked = markRepository(rows, name.value, options)
    for (const item of marked.items) {
      onItem(item)
      if (item.kind === 'tag') continue
      planned.add(item.repository, item.digest)
      tellSuspects(options, rows, item.digest)
    }
    if (marked.heldTags > 0) onHeld(marked.heldTags, marked.heldRules)
    sinceStep += 1
    if (sinceStep < repositoriesPerStep) continue
    sinceStep = 0
    environment.refresh()
    await onStep({ stage: 'repositories', after: name.value })
  }
}

function tellSuspects({ onSuspect }: WalkOptions, rows: WorkerRows, manifest: string): void {
  // What an index lists may be a blob, too.
  for (const [, child] of rows.keysBelow('children', [manifest])) onSuspect(child)
}

/** Candidates read at once. */
const candidatesAtOnce = 1_000

/**
 * Holders and parents have the digest as their first component: read side by side, each candidate meets
 * the repositories that hold it and the manifests that use it. Those that are in use leave the index.
 */
async function walkCandidates(
  options: WalkOptions,
  planned: PlannedManifests,
  from: string | undefined,
): Promise<void> {
  const { environment, isStopped, onCandidate, onStep } = options
  let after = from
  while (!isStopped()) {
    environment.refresh()
    const start = after === undefined ? '' : justAfter(after)
    const range = { start, end: lastText, limit: candidatesAtOnce }
    const batch = [...environment.entries('candidates', range)]
    // Streams of this snapshot or a later one: a stamp that is still the same when the entry is to
    // go says that nothing happened since before the look.
    const look = new Look(options, planned, after)
    for (const { key, value } of batch) {
      const digest = key as string
      after = digest
      if (look.isInUse(digest)) {
        await onCandidate({ kind: 'in-use', digest, stamp: value as number })
      }
    }
    if (batch.length < candidatesAtOnce) return
    await onStep({ stage: 'blobs', after })
  }
}

/** Looks at blobs in the order of their digests. */
class Look {
  readonly #options: WalkOptions
  readonly #planned: PlannedManifests
  readonly #holders: DigestStream
  readonly #parents: DigestStream

  constructor(options: WalkOptions, planned: PlannedManifests, after: string | undefined) {
    this.#options = options
    this.#planned = planned
    this.#holders = new DigestStream(options.environment, 'holders', after, false)
    this.#parents = new DigestStream(options.environment, 'parents', after, false)
  }

  /** Whether a manifest uses it wherever it is; if not, what can go is in the plan afterwards. */
  isInUse(digest: string): boolean {
    const holding: string[] = []
    const using = new Set<string>()
    this.#holders.take(digest, ([, repository]) => holding.push(repository!))
    this.#parents.take(digest, ([, repository, manifest]) => {
      if (!this.#planned.has(repository!, manifest!)) using.add(repository!)
    })
    if (holding.length > 0 && holding.every((repository) => using.has(repository))) return true
    const row = this.#options.environment.get('blobs', digest) as BlobRow | undefined
    if (row === undefined) return true
    this.#judge(digest, row, holding, using)
    return false
  }

  #judge(
    digest: string,
    row: BlobRow,
    holding: readonly string[],
    using: ReadonlySet<string>,
  ): void {
    const { environment, now, rules, isMirrored, onItem } = this.#options
    const cutoff = now - cutoffMs(rules.graceMs)
    if (row.linkedAt > cutoff) return
    let staying = 0
    for (const repository of holding) {
      if (using.has(repository)) {
        staying += 1
        continue
      }
      const link = environment.get('links', [repository, digest]) as LinkRow | undefined
      if (link === undefined) continue
      if (link.linkedAt > cutoff || isMirrored(repository)) {
        staying += 1
        continue
      }
      onItem({
        kind: 'link',
        repository,
        digest,
        rule: 'unreferenced',
        reason: 'no manifest of the repository uses the blob',
        bytes: 0,
        at: Math.max(link.linkedAt, row.linkedAt),
      })
    }
    if (staying > 0 || using.size > 0) return
    onItem({
      kind: 'blob',
      digest,
      rule: 'unreferenced',
      reason: 'no repository needs the blob',
      bytes: row.sizeBytes,
      at: row.linkedAt,
    })
  }
}
