/**
 * @module Signs what happens, behind the answers: a bounded queue, a few at a time, each image one after the other. What
 * waits is in memory alone. What a process that dies has not written is lost: a verification summary and a
 * countersignature are made when a policy lets the image pass the next time, a fact is not.
 */
import { type Digest, parseDigest } from '../../registry/digest.ts'
import { digestOf } from '../../registry/hasher.ts'
import { mediaTypes } from '../../registry/media-type.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { namesakeOf } from '../../registry/named-tag.ts'
import type { Clock } from '../../runtime/clock.ts'
import { KeyedLock } from '../../runtime/keyed-lock.ts'
import type { Policy } from '../policies.ts'
import type { Signatures } from '../signatures.ts'
import { countersign, platformsOf } from './countersign.ts'
import type { SigningKeys } from './keys.ts'
import { emptyBytes, seal } from './sealed.ts'
import {
  type FactKind,
  factOf,
  type OwnStatement,
  type Scene,
  sameText,
  summaryOf,
} from './statements.ts'
import { type AttestStore, placeFor } from './store.ts'
import type { MirrorFetch, Passed, Promotion, Push, Witness } from './witness.ts'

/** Jobs that wait: each is a few names and digests. */
const waitingMax = 1_000

/** Jobs at a time: each writes three times to the disk. */
const jobsAtOnce = 4

/** What a stop waits for what waits, ms. */
const drainMs = 5_000

/** That jobs are dropped is said at most so often, ms. */
const complaintEveryMs = 60_000

export type AttestationKind = FactKind | 'vsa' | 'countersignature'

/** `present`: it was there already. `skipped`: there is no place for it. `dropped`: too many waited. */
export type AttestationResult = 'written' | 'present' | 'skipped' | 'failed' | 'dropped'

export interface AttestorParts {
  readonly keys: Pick<SigningKeys, 'signer'>
  /** Name of this registry in references. */
  readonly host: string
  readonly facts: ReadonlySet<FactKind>
  /** What a policy requires now: `policyFingerprint`. */
  readonly fingerprint: (policy: Policy) => string
  readonly signatures: Pick<Signatures, 'governing' | 'report'>
  readonly clock: Clock
  readonly log: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
    error(fields: object, message: string): void
  }
  readonly counts: (kind: AttestationKind, result: AttestationResult) => void
}

interface Job {
  readonly kind: AttestationKind
  readonly image: Image
  readonly run: (store: AttestStore) => Promise<AttestationResult>
}

interface Image {
  readonly repository: RepositoryName
  readonly digest: Digest
}

export class Attestor implements Witness {
  readonly #parts: AttestorParts
  /** By what they would say: the same once. */
  readonly #waiting = new Map<string, Job>()
  readonly #images = new KeyedLock()
  #running = 0
  #store: AttestStore | undefined
  #isClosed = false
  #complainedAt = Number.NEGATIVE_INFINITY
  #onIdle: (() => void) | undefined

  constructor(parts: AttestorParts) {
    this.#parts = parts
  }

  /** Jobs that wait or run. */
  get depth(): number {
    return this.#waiting.size + this.#running
  }

  /** From now on jobs run. */
  begin(store: AttestStore): void {
    this.#store = store
    this.#next()
  }

  /** Takes no more, and waits for what is there: a few seconds at the most. */
  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#store === undefined || this.depth === 0) return
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve
      timer = setTimeout(resolve, drainMs)
    })
    clearTimeout(timer)
    for (const { kind } of this.#waiting.values()) this.#parts.counts(kind, 'dropped')
    this.#waiting.clear()
  }

  passed(it: Passed): void {
    const { repository, digest, policy } = it
    const at = this.#parts.clock.now()
    const fingerprint = this.#parts.fingerprint(policy)
    const summary = (scene: Scene) => summaryOf(scene, it, fingerprint)
    this.#add(`vsa ${policy.name}`, 'vsa', it, (store) => this.#write(store, it, summary, at))
    if (policy.countersign) this.#countersign({ repository, digest })
  }

  pushed(it: Push): void {
    // What is attached to an image is said of it by its own signers.
    const isAttached = it.subject !== undefined || it.tags.some((tag) => namesakeOf(tag))
    if (isAttached) this.#signed(it)
    else if (it.tags.length > 0) this.#fact({ kind: 'push', it })
  }

  promoted(it: Promotion): void {
    this.#fact({ kind: 'promotion', it })
  }

  fetched(it: MirrorFetch): void {
    const isAttached = it.subject !== undefined || it.tags.some((tag) => namesakeOf(tag))
    if (!isAttached) this.#fact({ kind: 'mirror', it })
  }

  #fact(fact: Parameters<typeof factOf>[1]): void {
    const { kind, it } = fact
    if (!this.#parts.facts.has(kind)) return
    const at = this.#parts.clock.now()
    const says = JSON.stringify([kind, it.tags, it.by])
    const statement = (scene: Scene) => factOf(scene, fact)
    this.#add(says, kind, it, (store) => this.#write(store, it, statement, at))
  }

  /** Something was attached: a signature may have come after the tag. */
  #signed({ repository, subject, tags }: Push): void {
    if (this.#parts.signatures.governing(repository)?.countersign !== true) return
    const named = [...tags.map(namesakeOf), subjectOf(subject)]
    for (const digest of new Set(named)) {
      if (digest === undefined) continue
      const image = { repository, digest }
      this.#add('look', 'countersignature', image, async (store) => {
        const report = await this.#parts.signatures.report(repository, digest)
        const isMeant = report?.state === 'verified' && report.policy?.countersign === true
        return isMeant ? this.#countersignAll(store, image) : 'skipped'
      })
    }
  }

  #countersign(image: Image): void {
    const run = (store: AttestStore) => this.#countersignAll(store, image)
    this.#add('countersign', 'countersignature', image, run)
  }

  async #countersignAll(store: AttestStore, { repository, digest }: Image) {
    const { signer } = this.#parts.keys
    const parts = { store, signer, host: this.#parts.host, by: byOf(signer.fingerprint) }
    let result: AttestationResult = 'present'
    for (const one of await platformsOf(store, repository, digest)) {
      const said = await countersign(parts, repository, one)
      if (said === 'skipped') this.#complain({ repository, digest: one }, 'countersignature')
      if (said !== 'present') result = result === 'skipped' ? result : said
    }
    return result
  }

  async #write(
    store: AttestStore,
    { repository, digest }: Image,
    make: (scene: Scene) => OwnStatement,
    at: number,
  ): Promise<AttestationResult> {
    const row = store.metadata.get('manifests', [repository, digest])
    // Deleted since.
    if (row === undefined) return 'skipped'
    const { signer } = this.#parts.keys
    const statement = make({ host: this.#parts.host, at })
    const text = sameText(statement)
    const id = idOf(text, signer.fingerprint)
    const says = (json: object) => sameText(json as OwnStatement) === text
    const place = await placeFor(store, { repository, digest }, id, says, signer.publicKey)
    if (place === 'taken') return 'present'
    if (place === 'full') {
      this.#complain({ repository, digest }, statement.predicateType)
      return 'skipped'
    }
    const { mediaType, sizeBytes } = row
    const about = { image: { digest, mediaType, sizeBytes }, id, at }
    const { bundle, manifest } = await seal(statement, signer, about)
    const by = byOf(signer.fingerprint)
    await store.putBlob(repository, emptyBytes, by)
    await store.putBlob(repository, bundle, by)
    await store.putManifest({ repository, bytes: manifest, mediaType: mediaTypes.ociManifest, by })
    return 'written'
  }

  #add(says: string, kind: AttestationKind, image: Image, run: Job['run']): void {
    const { repository, digest } = image
    const key = `${repository}@${digest} ${says}`
    if (this.#isClosed || (this.#waiting.size >= waitingMax && !this.#waiting.has(key))) {
      this.#parts.counts(kind, 'dropped')
      this.#complain({ kind }, 'too many wait to be signed')
      return
    }
    this.#waiting.set(key, { kind, image: { repository, digest }, run })
    this.#next()
  }

  #next(): void {
    const store = this.#store
    if (store === undefined) return
    while (this.#running < jobsAtOnce) {
      const [first] = this.#waiting
      if (first === undefined) break
      const [key, job] = first
      this.#waiting.delete(key)
      this.#running += 1
      void this.#run(store, job).finally(() => {
        this.#running -= 1
        this.#next()
      })
    }
    if (this.depth === 0) this.#onIdle?.()
  }

  /** Never rejects. */
  async #run(store: AttestStore, { kind, image, run }: Job): Promise<void> {
    const { repository, digest } = image
    try {
      const result = await this.#images.run(`${repository}@${digest}`, () => run(store))
      this.#parts.counts(kind, result)
      if (result === 'written') {
        this.#parts.log.info(
          { event: 'attested', kind, repository, digest },
          'signed by the registry',
        )
      }
    } catch (error) {
      this.#parts.counts(kind, 'failed')
      this.#parts.log.error({ kind, repository, digest, error }, 'the registry could not sign')
    }
  }

  #complain(fields: object, what: string): void {
    const now = this.#parts.clock.monotonic()
    if (now < this.#complainedAt + complaintEveryMs) return
    this.#complainedAt = now
    this.#parts.log.warn({ what, ...fields }, 'not signed by the registry')
  }
}

function subjectOf(subject: string | undefined): Digest | undefined {
  const digest = parseDigest(subject ?? '')
  return digest.ok ? digest.value : undefined
}

/** Who writes, for the history. */
function byOf(fingerprint: string): string {
  return `signing key ${fingerprint.slice(0, 12)}`
}

function idOf(text: string, fingerprint: string): string {
  return digestOf('sha256', Buffer.from(`${fingerprint} ${text}`))
}
