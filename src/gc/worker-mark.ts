/**
 * @module The walk that makes a plan, inside a worker. Three sequential reads of indexes, no walk of
 * the disk: repositories (tags and manifests), then blobs beside who holds and who uses them, then
 * manifest bytes beside who has them. Items go to a file as they are found, so memory does not grow
 * with the plan. The walk can be interrupted between two repositories or blobs and go on from there.
 *
 * What it sees may be untrue a moment later: applying looks again inside each transaction.
 */

import { cutoffMs } from '../distribution/reliance.ts'
import { parseRepositoryName } from '../registry/name.ts'
import type { LmdbEnvironment } from '../storage/lmdb-environment.ts'
import type { BlobRow, LinkRow } from '../storage/schema.ts'
import { type MarkOptions, markRepository } from './mark-repository.ts'
import type { PlanItem } from './plan-item.ts'
import { DigestStream, WorkerRows } from './worker-rows.ts'

export type MarkStage = 'repositories' | 'blobs' | 'manifest-bytes' | 'done'

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
  /** Rules that would delete tags and may not. */
  readonly onHeld: (tags: number, rules: ReadonlySet<string>) => void
  /** Called between steps; waits where it must (the file, the pace). */
  readonly onStep: (cursor: MarkCursor) => Promise<void>
}

/** Repositories and blobs between two visits of `onStep`. */
const repositoriesPerStep = 50
const digestsPerStep = 5_000

/** `planned`: manifests of an earlier part of the same plan. */
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
  }
  if (stage === 'blobs' && !options.isStopped()) {
    await walkBlobs(options, planned, after)
    stage = 'manifest-bytes'
    after = undefined
  }
  if (stage === 'manifest-bytes' && !options.isStopped()) await walkManifestBytes(options, after)
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
    for (const item of marked.tagItems) onItem(item)
    for (const item of marked.manifestItems) {
      planned.add(item.repository, item.digest)
      onItem(item)
    }
    if (marked.heldTags > 0) onHeld(marked.heldTags, marked.heldRules)
    sinceStep += 1
    if (sinceStep < repositoriesPerStep) continue
    sinceStep = 0
    environment.refresh()
    await onStep({ stage: 'repositories', after: name.value })
  }
}

/**
 * Blobs, holders and parents have the digest as their first component: read side by side, each
 * blob meets the repositories that hold it and the manifests that use it.
 */
async function walkBlobs(
  options: WalkOptions,
  planned: PlannedManifests,
  after: string | undefined,
): Promise<void> {
  const { environment, isStopped, onStep } = options
  const blobs = new DigestStream(environment, 'blobs', after)
  const holders = new DigestStream(environment, 'holders', after)
  const parents = new DigestStream(environment, 'parents', after)
  let sinceStep = 0
  for (let key = blobs.peek(); key !== undefined && !isStopped(); key = blobs.peek()) {
    const digest = key[0]!
    blobs.next()
    const holding: string[] = []
    const using = new Set<string>()
    holders.take(digest, ([, repository]) => holding.push(repository!))
    parents.take(digest, ([, repository, manifest]) => {
      if (!planned.has(repository!, manifest!)) using.add(repository!)
    })
    if (holding.length === 0 || holding.some((repository) => !using.has(repository))) {
      judgeBlob(options, digest, holding, using)
    }
    sinceStep += 1
    if (sinceStep < digestsPerStep) continue
    sinceStep = 0
    environment.refresh()
    await onStep({ stage: 'blobs', after: digest })
  }
}

function judgeBlob(
  { environment, now, rules, isMirrored, onItem }: WalkOptions,
  digest: string,
  holding: readonly string[],
  using: ReadonlySet<string>,
): void {
  const row = environment.get('blobs', digest) as BlobRow | undefined
  const cutoff = now - cutoffMs(rules.graceMs)
  if (row === undefined || row.linkedAt > cutoff) return
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
    place: row.place,
    rule: 'unreferenced',
    reason: 'no repository needs the blob',
    bytes: row.sizeBytes,
    at: row.linkedAt,
  })
}

/** Bytes without a holder: left by versions that did not keep account of them. */
async function walkManifestBytes(options: WalkOptions, after: string | undefined): Promise<void> {
  const { environment, isStopped, onItem, onStep } = options
  const stored = new DigestStream(environment, 'manifestBytes', after)
  const holders = new DigestStream(environment, 'manifestHolders', after)
  let sinceStep = 0
  for (let key = stored.peek(); key !== undefined && !isStopped(); key = stored.peek()) {
    const digest = key[0]!
    stored.next()
    let isHeld = false
    holders.take(digest, () => {
      isHeld = true
    })
    if (!isHeld) {
      const bytes = environment.getBytes('manifestBytes', digest)?.byteLength ?? 0
      const reason = 'no repository has the manifest or may want it back'
      const at = options.now
      onItem({ kind: 'manifest-bytes', digest, rule: 'unreferenced', reason, bytes, at })
    }
    sinceStep += 1
    if (sinceStep < digestsPerStep) continue
    sinceStep = 0
    environment.refresh()
    await onStep({ stage: 'manifest-bytes', after: digest })
  }
}

/**
 * The manifests that the plan removes, in little memory: 16 characters each. Two that look alike
 * here make an item that its own transaction refuses; nothing is lost by it.
 */
export class PlannedManifests {
  readonly #repositories = new Map<string, Set<string>>()

  add(repository: string, digest: string): void {
    let set = this.#repositories.get(repository)
    if (set === undefined) {
      set = new Set()
      this.#repositories.set(repository, set)
    }
    set.add(digest.slice(-16))
  }

  has(repository: string, digest: string): boolean {
    return this.#repositories.get(repository)?.has(digest.slice(-16)) === true
  }
}
