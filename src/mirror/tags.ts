/**
 * @module What a tag of a mirrored repository means now. Fresh by rule: answered from here. Expired:
 * one check upstream for all who wait; whoever has something older waits for it only a moment, and
 * gets the older while upstream is slow, broken or gone.
 *
 *   row of the tag        │ upstream                 │ answer
 *   ──────────────────────┼──────────────────────────┼──────────────────────────────
 *   fresh                 │ not asked                │ what is here
 *   expired, or "always"  │ same digest, or new one  │ that one
 *                         │ 404                      │ on_upstream_delete
 *                         │ any failure, or slow     │ what is here, marked stale
 *   none, or too old      │ digest                   │ that one
 *                         │ 404 / failure            │ 404 / 502, 504
 */

import type { MirrorTagRow } from '../metadata/rows/upstream.ts'
import type { Change } from '../metadata/transaction.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import type { Tag } from '../registry/tag.ts'
import { BoundedMap } from '../runtime/bounded-map.ts'
import { SingleFlight } from '../runtime/single-flight.ts'
import { isHeadUnknown, toUpstreamError, type UpstreamError } from '../upstream/error.ts'
import { checkWaitMs, type MirrorContext, missMs } from './context.ts'
import { type Cooldown, tooYoung } from './cooldown.ts'
import {
  gone,
  held,
  type ManifestHead,
  type ManifestOutcome,
  type PullHow,
  type UpstreamManifests,
} from './manifests.ts'
import type { MirroredRepository } from './mirrored-repository.ts'
import { NegativeCache } from './negative-cache.ts'
import { type FetchSigned, Verification } from './verification.ts'

const cooling = held('the newer one has to wait for its cooldown')

/** After a failed check nobody waits for this long, ms. */
const failedForMs = 3_000

/** Tags whose last check failed that are remembered. */
const failedMax = 10_000

export class MirrorTags {
  readonly #context: MirrorContext
  readonly #manifests: UpstreamManifests
  readonly #cooldown: Cooldown
  readonly verification: Verification
  readonly #checking = new SingleFlight<ManifestOutcome>()
  readonly #negative: NegativeCache
  readonly #failedUntil = new BoundedMap<string, { until: number; error: UpstreamError }>(failedMax)

  constructor(
    context: MirrorContext,
    manifests: UpstreamManifests,
    cooldown: Cooldown,
    fetchSigned: FetchSigned,
  ) {
    this.#context = context
    this.#manifests = manifests
    this.#cooldown = cooldown
    this.verification = new Verification({ ...context, fetchSigned })
    this.#negative = new NegativeCache(context.clock)
  }

  /** Throws an `UpstreamError` or a `RegistryError` when there is nothing to answer with. */
  async resolve(repository: MirroredRepository, tag: Tag, how: PullHow): Promise<ManifestOutcome> {
    const { clock } = this.#context
    const row = this.#row(repository, tag)
    if (this.#isOwn(repository, tag, row)) return { kind: 'local', isHit: true }
    if (row !== undefined && this.#isFresh(repository, tag, row)) {
      const isHidden =
        row.goneAt !== undefined && repository.mirror.config.onUpstreamDelete === 'hide'
      if (isHidden) throw gone(repository, tag)
      const known = await this.#known(repository, tag, row, how)
      if (row.goneAt === undefined || known.kind !== 'local') return known
      return { ...known, stale: 'upstream has deleted it' }
    }
    const key = `${repository.name}:${tag}`
    const isUsable =
      row !== undefined &&
      this.#servable(repository, row) !== undefined &&
      clock.now() - row.checkedAt <=
        repository.mirror.config.cacheTtlMs + repository.mirror.config.staleForMs
    if (!isUsable) {
      const refusal = row === undefined ? this.#negative.get(key) : undefined
      if (refusal !== undefined) {
        repository.mirror.stats.negative += 1
        throw refusal
      }
      return this.#check(repository, tag, how)
    }
    const failed = this.#failedUntil.get(key)
    const checking = this.#check(repository, tag, how)
    const waitMs =
      repository.isShut || (failed !== undefined && failed.until > clock.monotonic())
        ? 0
        : checkWaitMs
    return this.#orStale(repository, tag, row, checking, waitMs)
  }

  /** Asks upstream now, whatever the row says. For `refresh`. */
  refresh(repository: MirroredRepository, tag: Tag): Promise<ManifestOutcome> {
    this.#negative.delete(`${repository.name}:${tag}`)
    const deadline = this.#context.clock.monotonic() + missMs
    return this.#check(repository, tag, { isHead: false, deadline })
  }

  /** Until when an answer may be given without looking at the row again, on the monotonic clock. */
  freshUntil(repository: MirroredRepository, tag: Tag): number {
    const row = this.#row(repository, tag)
    if (this.#isOwn(repository, tag, row)) return Number.POSITIVE_INFINITY
    if (row === undefined || row.next !== undefined || row.goneAt !== undefined) return 0
    const rule = repository.mirror.freshnessOf(tag)
    if (rule === 'always') return 0
    if (rule === 'immutable') return Number.POSITIVE_INFINITY
    const { clock } = this.#context
    return clock.monotonic() + (row.checkedAt + repository.mirror.config.cacheTtlMs - clock.now())
  }

  /** A tag that a client pushed here is not upstream's. */
  #isOwn(repository: MirroredRepository, tag: Tag, row: MirrorTagRow | undefined): boolean {
    const local = this.#context.metadata.get('tags', [repository.name, tag])
    return local !== undefined && local.digest !== row?.digest
  }

  #row(repository: MirroredRepository, tag: Tag): MirrorTagRow | undefined {
    return this.#context.metadata.get('mirrorTags', [repository.name, tag])
  }

  #isFresh({ mirror }: MirroredRepository, tag: Tag, row: MirrorTagRow): boolean {
    const rule = mirror.freshnessOf(tag)
    if (rule === 'always') return false
    if (rule === 'immutable' && row.goneAt === undefined && row.next === undefined) return true
    // A clock that was set back does not make a tag fresh for ever.
    const age = this.#context.clock.now() - row.checkedAt
    return age >= 0 && age < mirror.config.cacheTtlMs
  }

  /** The newest manifest of the tag that is stored. */
  #servable(repository: MirroredRepository, row: MirrorTagRow): Digest | undefined {
    for (const text of [row.next, row.digest]) {
      const digest = parseDigest(text ?? '')
      if (!digest.ok) continue
      if (this.#context.metadata.get('manifests', [repository.name, digest.value]))
        return digest.value
    }
    return undefined
  }

  /** Waits a moment for a check; then what is here is the answer. */
  async #orStale(
    repository: MirroredRepository,
    tag: Tag,
    row: MirrorTagRow,
    checking: Promise<ManifestOutcome>,
    waitMs: number,
  ): Promise<ManifestOutcome> {
    const key = `${repository.name}:${tag}`
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), waitMs)
    })
    try {
      const outcome = await Promise.race([checking, late])
      if (outcome !== 'late') return outcome
      const last = this.#failedUntil.get(key)?.error
      checking.catch(() => undefined)
      return await this.#stale(repository, tag, row, last?.kind ?? 'slow')
    } catch (error) {
      if (error instanceof RegistryError) throw error
      const known = toUpstreamError(error, repository.mirror.name)
      if (known.kind === 'missing' && repository.mirror.config.onUpstreamDelete === 'hide')
        throw known
      const why = known.kind === 'missing' ? 'upstream has deleted it' : known.kind
      return await this.#stale(repository, tag, row, why)
    } finally {
      clearTimeout(timer)
    }
  }

  async #stale(
    repository: MirroredRepository,
    tag: Tag,
    row: MirrorTagRow,
    why: string,
  ): Promise<ManifestOutcome> {
    repository.mirror.stats.stale += 1
    this.#context.logger.warn(
      { mirror: repository.mirror.name, repository: repository.name, tag, why },
      'tag answered stale',
    )
    const digest = this.#servable(repository, row)!
    await this.#point(repository, tag, digest, row.checkedAt).catch(() => undefined)
    return { kind: 'local', stale: why, isHit: true }
  }

  /** The answer for a tag whose digest is known and fresh. */
  async #known(
    repository: MirroredRepository,
    tag: Tag,
    row: MirrorTagRow,
    how: PullHow,
  ): Promise<ManifestOutcome> {
    const { metadata } = this.#context
    const digest = parseDigest(row.next ?? row.digest)
    if (!digest.ok) return this.#check(repository, tag, how)
    if (metadata.get('manifests', [repository.name, digest.value]) === undefined) {
      if (how.isHead) return this.#check(repository, tag, how)
      return this.#take(repository, tag, digest.value, how.deadline)
    }
    return this.#pointed(repository, tag, digest.value, row.checkedAt, true)
  }

  #check(repository: MirroredRepository, tag: Tag, how: PullHow): Promise<ManifestOutcome> {
    const key = `${repository.name}:${tag}`
    const joined = () => {
      repository.mirror.stats.joined += 1
    }
    return this.#checking.run(
      `${how.isHead ? 'HEAD' : 'GET'} ${key}`,
      () =>
        this.#ask(repository, tag, how).then(
          (outcome) => {
            this.#failedUntil.delete(key)
            return outcome
          },
          async (error: unknown) => {
            if (!(error instanceof RegistryError)) {
              await this.#noteFailure(
                repository,
                tag,
                toUpstreamError(error, repository.mirror.name),
              )
            }
            throw error
          },
        ),
      joined,
    )
  }

  async #ask(
    repository: MirroredRepository,
    tag: Tag,
    { isHead, deadline }: PullHow,
  ): Promise<ManifestOutcome> {
    const { clock } = this.#context
    const row = this.#row(repository, tag)
    if (row === undefined && !isHead) return this.#take(repository, tag, undefined, deadline)
    const known = row === undefined ? undefined : this.#servable(repository, row)
    let head: ManifestHead | undefined
    try {
      head = await this.#manifests.head(repository, tag, known, deadline)
    } catch (error) {
      // A registry whose HEAD says nothing is asked with GET.
      if (!isHeadUnknown(error)) throw error
      return this.#take(repository, tag, undefined, deadline)
    }
    const digest = head?.digest ?? known!
    if (await this.#isHeldBack(repository, tag, digest)) return cooling
    if (this.#context.metadata.get('manifests', [repository.name, digest]) !== undefined) {
      return this.#pointed(repository, tag, digest, clock.now(), true)
    }
    // Whoever hears the digest asks for that next: it must be one that the tag may mean.
    if (!isHead || this.verification.isJudged(repository, digest))
      return this.#take(repository, tag, digest, deadline)
    await this.#remember(repository, tag, { digest: row?.digest ?? digest, next: digest })
    return { kind: 'head', head: head! }
  }

  /** Fetches the manifest, by digest where it is known, and points the tag at it. */
  async #take(
    repository: MirroredRepository,
    tag: Tag,
    digest: Digest | undefined,
    deadline: number,
  ): Promise<ManifestOutcome> {
    const { clock } = this.#context
    if (digest !== undefined && (await this.#isHeldBack(repository, tag, digest))) return cooling
    const fetched =
      digest === undefined
        ? await this.#manifests.byTag(repository, tag, deadline)
        : await this.#manifests.byDigest(repository, digest, deadline)
    if (digest === undefined) {
      if (await this.#isHeldBack(repository, tag, fetched.digest)) return cooling
      // What is to be judged first is stored without its tag.
      const isTagged = !this.verification.isJudged(repository, fetched.digest)
      const note = noted(repository, tag, { digest: fetched.digest, checkedAt: clock.now() })
      const reference = isTagged ? ({ kind: 'tag', tag } as const) : undefined
      await this.#manifests.store(repository, fetched, reference, isTagged ? [note] : [])
      if (fetched.isStored && isTagged) return { kind: 'local', isHit: false }
    }
    if (!fetched.isStored) return { kind: 'bytes', fetched }
    return this.#pointed(repository, tag, fetched.digest, clock.now(), false)
  }

  /** Whether an older one is to be answered instead. Throws DENIED when there is none. */
  async #isHeldBack(repository: MirroredRepository, tag: Tag, digest: Digest): Promise<boolean> {
    const waitMs = await this.#cooldown.remaining(repository, digest)
    if (waitMs === 0) return false
    const older = this.#context.metadata.get('tags', [repository.name, tag])?.digest
    if (older === undefined || older === digest) throw tooYoung(digest, waitMs)
    await this.#remember(repository, tag, { digest: older })
    return true
  }

  /** `#point`, and the answer that follows from it. */
  async #pointed(
    repository: MirroredRepository,
    tag: Tag,
    digest: Digest,
    checkedAt: number,
    isHit: boolean,
  ): Promise<ManifestOutcome> {
    const objection = await this.#point(repository, tag, digest, checkedAt)
    return objection === undefined ? { kind: 'local', isHit } : held(objection)
  }

  /**
   * Lets the tag mean a stored manifest, and notes when upstream last said so. A text: why it may not, and
   * goes on meaning what it meant.
   */
  async #point(
    repository: MirroredRepository,
    tag: Tag,
    digest: Digest,
    checkedAt: number,
  ): Promise<string | undefined> {
    const { metadata } = this.#context
    const now = metadata.get('tags', [repository.name, tag])?.digest
    const row = this.#row(repository, tag)
    if (now === digest) {
      const isSame = row?.digest === digest && row.next === undefined
      if (isSame && row.checkedAt === checkedAt) return undefined
      const { goneAt } = row ?? {}
      const isStillGone = goneAt !== undefined && row?.checkedAt === checkedAt
      await this.#remember(
        repository,
        tag,
        { digest, ...(isStillGone ? { goneAt } : {}) },
        checkedAt,
      )
      return undefined
    }
    const objection = now && (await this.verification.objection(repository, tag, now, digest))
    if (objection !== undefined) {
      await this.#remember(repository, tag, { digest: now!, next: digest }, checkedAt)
      return objection
    }
    const manifest = metadata.get('manifests', [repository.name, digest])
    const bytes = metadata.getBytes('manifestBytes', digest)?.slice()
    if (manifest === undefined || bytes === undefined) return undefined
    const fetched = { digest, mediaType: manifest.mediaType, bytes, isStored: true }
    await this.#manifests.store(repository, fetched, { kind: 'tag', tag }, [
      noted(repository, tag, { digest, checkedAt }),
    ])
    return undefined
  }

  async #remember(
    repository: MirroredRepository,
    tag: Tag,
    row: Omit<MirrorTagRow, 'checkedAt'>,
    checkedAt = this.#context.clock.now(),
  ): Promise<void> {
    const changes = [noted(repository, tag, { ...row, checkedAt })]
    await this.#context.metadata.commit({ checks: [], changes })
  }

  async #noteFailure(
    repository: MirroredRepository,
    tag: Tag,
    error: UpstreamError,
  ): Promise<void> {
    const { clock } = this.#context
    const key = `${repository.name}:${tag}`
    const row = this.#row(repository, tag)
    // Only a 404 says that the tag is gone: who refuses may give it again, and did once.
    if (row === undefined) this.#negative.note(key, error)
    else if (error.kind === 'missing') {
      const { digest } = row
      await this.#remember(repository, tag, { digest, goneAt: row.goneAt ?? clock.now() })
    }
    if (error.kind !== 'missing') {
      this.#failedUntil.set(key, { until: clock.monotonic() + failedForMs, error })
    }
  }
}

/** What upstream's tag was, and when. */
function noted({ name }: MirroredRepository, tag: Tag, row: MirrorTagRow): Change {
  return { change: 'put', in: 'mirrorTags', key: [name, tag], row }
}
