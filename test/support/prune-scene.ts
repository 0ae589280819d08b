/**
 * @module A source that is pruned, on metadata in memory: what upstream has, what it says, what it does not
 * say, and the hands of others on the tags here.
 */
import type { SyncPruneConfig, SyncSourceConfig } from '../../src/config/config.ts'
import { Protection } from '../../src/distribution/protection.ts'
import { TagLocks } from '../../src/distribution/tag-locks.ts'
import { Jobs } from '../../src/jobs/jobs.ts'
import { dropTag, pointTag } from '../../src/metadata/edits.ts'
import type { MetadataStore } from '../../src/metadata/port.ts'
import type { Change } from '../../src/metadata/transaction.ts'
import type { Digest } from '../../src/registry/digest.ts'
import { SyncJournal } from '../../src/sync/journal.ts'
import type { ListedTag, SyncUpstream } from '../../src/sync/port.ts'
import type { SeenRepository } from '../../src/sync/prune/pass.ts'
import { type FullPass, Prune, type PruneResult } from '../../src/sync/prune/prune.ts'
import { UpstreamError } from '../../src/upstream/error.ts'
import { FakeClock } from './fake-clock.ts'
import { MemoryMetadataStore } from './memory/memory-metadata.ts'
import { asDigest, asName, asTag, sha256 } from './registry-client.ts'

export const SOURCE = 'quay'
export const BY = `sync:${SOURCE}`

export const digestNumber = (number: number): Digest => asDigest(sha256(`image ${number}`))
export const localOf = (repository: string) => asName(`mirror/${repository}`)

/** What upstream really has, and what it does not tell. */
export class PrunedUpstream implements SyncUpstream {
  readonly tellsTimes = false
  readonly has = new Map<string, Map<string, Digest>>()
  /** Repositories that answer 403. */
  readonly denied = new Set<string>()
  /** `repository:tag` and repositories that were asked for. */
  readonly asked: string[] = []

  async probe(): Promise<void> {}

  async *repositories() {
    yield [...this.has.keys()].map((name) => ({ name }))
  }

  async *tags(repository: string): AsyncGenerator<readonly ListedTag[]> {
    this.asked.push(repository)
    yield [...this.#tagsOf(repository)].map(([tag, digest]) => ({ tag, digest }))
  }

  async tag(repository: string, tag: string): Promise<ListedTag | undefined> {
    this.asked.push(`${repository}:${tag}`)
    const digest = this.#tagsOf(repository).get(tag)
    return digest === undefined ? undefined : { tag, digest }
  }

  push(repository: string, tag: string, digest: Digest): void {
    const tags = this.has.get(repository) ?? new Map<string, Digest>()
    this.has.set(repository, tags.set(tag, digest))
  }

  #tagsOf(repository: string): ReadonlyMap<string, Digest> {
    if (this.denied.has(repository)) throw new UpstreamError('denied', 'no', { status: 403 })
    const tags = this.has.get(repository)
    if (tags === undefined) throw new UpstreamError('missing', 'none', { status: 404 })
    return tags
  }
}

export class PruneScene {
  readonly metadata: MetadataStore = new MemoryMetadataStore()
  readonly clock = new FakeClock()
  readonly journal = new SyncJournal(this.metadata)
  readonly jobs = new Jobs(this.metadata, this.clock)
  readonly upstream = new PrunedUpstream()
  readonly tagLocks = new TagLocks()
  readonly prune: Prune
  /** As configured now. */
  source: SyncSourceConfig

  constructor(
    source: SyncSourceConfig,
    prune: Partial<SyncPruneConfig> = {},
    immutable: string[] = [],
  ) {
    this.source = { ...source, prune: { ...source.prune, isEnabled: true, ...prune } }
    const { metadata, journal, clock, jobs, tagLocks } = this
    this.prune = new Prune({
      metadata,
      journal,
      clock,
      jobs,
      tagLocks,
      protection: new Protection([{ repositories: ['**'], tags: immutable }]),
      sourceOf: () => this.source,
      upstreamOf: () => this.upstream,
    })
  }

  /** As a copy does: the tag and the journal, unless somebody else's hand is on it. */
  async copy(repository: string, tag: string, digest: Digest): Promise<void> {
    const it = { source: SOURCE, repository, tag }
    const local = localOf(repository)
    const row = this.metadata.get('tags', [local, asTag(tag)])
    const wrote = this.journal.tag(it)?.wrote
    const isFree = row === undefined ? wrote === undefined : row.digest === wrote && row.by === BY
    if (!isFree) return
    const at = this.clock.now()
    const noted = this.journal.withMove(it, {
      local,
      outcome: 'copied',
      at,
      attempts: 0,
      upstream: digest,
      wrote: digest,
    })
    await this.#commit([this.#move(repository, tag, digest, BY), noted.change])
    noted.written()
    const fingerprint = 'f'
    const known = { local, fingerprint, isListingComplete: true }
    await this.journal.noteRepository(SOURCE, repository, known)
  }

  /** Everything that upstream has. */
  async copyAll(): Promise<void> {
    for (const [repository, tags] of this.upstream.has) {
      for (const [tag, digest] of tags) await this.copy(repository, tag, digest)
    }
  }

  async push(repository: string, tag: string, digest: Digest, by = 'someone'): Promise<void> {
    await this.#commit([this.#move(repository, tag, digest, by)])
  }

  async delete(repository: string, tag: string): Promise<void> {
    const key = [localOf(repository), asTag(tag)] as const
    const row = this.metadata.get('tags', key)
    if (row === undefined) return
    const removal = { at: this.clock.now(), by: 'someone', why: '' }
    await this.#commit(dropTag(...key, row, removal).changes)
  }

  async restore(repository: string, tag: string): Promise<void> {
    const key = [localOf(repository), asTag(tag)] as const
    const deleted = this.metadata.get('deletedTags', key)
    if (deleted === undefined || this.metadata.get('tags', key) !== undefined) return
    await this.#commit(pointTag(...key, { ...deleted.row, by: 'someone' }, undefined))
  }

  /** `repository:tag` → where it points, and who moved it. */
  get here(): Map<string, { readonly digest: Digest; readonly by: string | undefined }> {
    const rows = this.metadata.entries('tags', [], undefined, 1_000)
    return new Map(
      rows.map(({ key, row }) => [
        `${key[0].replace('mirror/', '')}:${key[1]}`,
        { digest: row.digest, by: row.by },
      ]),
    )
  }

  isOwned(repository: string, tag: string): boolean {
    const row = this.metadata.get('tags', [localOf(repository), asTag(tag)])
    const wrote = this.journal.tag({ source: SOURCE, repository, tag })?.wrote
    return row !== undefined && row.digest === wrote && row.by === BY
  }

  /** A repository as a complete listing shows it. */
  seen(repository: string, isSelected: (tag: string) => boolean = () => true): SeenRepository {
    const local = localOf(repository)
    const tags = this.upstream.has.get(repository)
    if (tags === undefined) return { repository, local, listing: 'missing' }
    const listed = new Set(tags.keys())
    const selected = new Set([...listed].filter(isSelected))
    return { repository, local, listing: { listed, selected } }
  }

  /** A full pass; of everything, when nothing else is said. */
  async pass(some: Partial<FullPass> = {}): Promise<PruneResult> {
    this.clock.advance(1_000)
    return await this.prune.afterFullPass({
      source: this.source,
      repositories: [...this.upstream.has.keys()].map((name) => this.seen(name)),
      isProbeOk: true,
      isCancelled: false,
      isListComplete: true,
      isFingerprintUnchanged: true,
      signal: new AbortController().signal,
      ...some,
    })
  }

  async apply(plan: string): Promise<void> {
    const { ended } = await this.prune.apply(plan, 'operator')
    await ended
  }

  /** An operator says yes to a first plan, of one tag. */
  async approve(): Promise<void> {
    this.upstream.push('first', 'a', digestNumber(900))
    this.upstream.push('first', 'b', digestNumber(901))
    await this.copyAll()
    this.upstream.has.get('first')!.delete('a')
    await this.pass()
    await this.apply((await this.pass()).waitingPlan!)
  }

  #move(repository: string, tag: string, digest: Digest, by: string): Change {
    const key = [localOf(repository), asTag(tag)] as const
    return {
      change: 'move-tag',
      in: 'tags',
      key,
      digest,
      at: this.clock.now(),
      by,
      isImmutable: false,
    }
  }

  async #commit(changes: readonly Change[]): Promise<void> {
    await this.metadata.commit({ checks: [], changes })
  }
}
