/**
 * @module A random history of an upstream, drawn from a seed: what is pushed, moved, deleted, signed and ended
 * in the stand-in of Quay, and what it means for a copy.
 */
import { contentOf, type Seeded } from '../crash/support/seeded.ts'
import type { QuayRepository, QuayTag } from './quay/model.ts'
import { QuayStandIn } from './quay/stand-in.ts'
import { type Descriptor, imageIndex, imageManifest } from './registry-client.ts'

const imageType = 'application/vnd.oci.image.manifest.v1+json'
const indexType = 'application/vnd.oci.image.index.v1+json'
const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'

export const TAGS = ['v1', 'v2', 'v3', 'rc1', 'latest'] as const
const NAMES = ['a', 'b/c', 'd'] as const

/** Weights of what happens upstream. */
const ACTS = {
  push: 10,
  retag: 2,
  delete: 4,
  expire: 1,
  sign: 6,
  'remove-repository': 0.3,
} as const

const SIGNATURES = { sig: 3, att: 1, sbom: 1, referrer: 3, fallback: 2 } as const

/** Time that a test moves, and that goes on by itself. */
export class MovedClock {
  #aheadMs = 0

  now(): number {
    return Date.now() + this.#aheadMs
  }

  monotonic(): number {
    return performance.now() + this.#aheadMs
  }

  advance(ms: number): void {
    this.#aheadMs += ms
  }
}

export class SyncHistory {
  readonly quay: QuayStandIn
  readonly clock = new MovedClock()
  readonly organization: string
  /** `repository:tag` → every digest that it has ever pointed at. */
  readonly everMeant = new Map<string, Set<string>>()
  readonly #chance: Seeded
  #made = 0

  constructor(organization: string, chance: Seeded) {
    this.organization = organization
    this.#chance = chance
    this.quay = new QuayStandIn(this.clock)
    this.quay.model.addNamespace(organization)
  }

  get paths(): readonly string[] {
    return NAMES.map((name) => `${this.organization}/${name}`)
  }

  /** What was there before anybody looked. */
  begin(): void {
    for (const path of this.paths) {
      const repository = this.quay.model.addRepository(path, { isPublic: true })
      for (const tag of TAGS) {
        this.clock.advance(1_100)
        if (this.#chance.chance(0.7)) this.#set(repository, tag, this.#content(repository))
      }
    }
  }

  /** One thing happens. Each in a second of its own, but for those in the middle of a run. */
  act(isAlone = true): string {
    const chance = this.#chance
    if (isAlone) this.clock.advance(chance.between(1_100, 90_000))
    const what = chance.weighted(ACTS)
    const path = chance.pick(this.paths)
    const tag = chance.pick(TAGS)
    const { model, now } = this.quay
    const known = model.repositories.get(path)
    if (what === 'push') {
      const repository = known ?? model.addRepository(path, { isPublic: true })
      this.#set(repository, tag, this.#content(repository))
      return `push ${path}:${tag}`
    }
    if (known === undefined) return `nothing in ${path}`
    const live = known.liveAt(now).filter(({ name }) => !name.startsWith('sha256-'))
    if (what === 'remove-repository' && model.repositories.size > 1) {
      model.removeRepository(path)
      return `remove ${path}`
    }
    if (live.length === 0) return `nothing live in ${path}`
    const one = chance.pick(live)
    switch (what) {
      case 'retag':
        this.#set(known, tag, one.digest)
        return `retag ${path}:${one.name} as ${tag}`
      case 'delete':
        known.deleteTag(one.name, now)
        return `delete ${path}:${one.name}`
      case 'expire':
        this.#set(known, one.name, one.digest, now + chance.between(1, 4_000))
        return `expire ${path}:${one.name}`
      case 'sign':
        return this.#sign(known, one)
      default:
        return 'nothing'
    }
  }

  /** Live tags of images, the newest first. */
  live(path: string): readonly QuayTag[] {
    const repository = this.quay.model.repositories.get(path)
    const all = repository?.liveAt(this.quay.now) ?? []
    return all.filter(({ name }) => !name.startsWith('sha256-'))
  }

  /** The image and everything that it lists. */
  manifestsOf(path: string, digest: string): string[] {
    const { manifests } = this.quay.model.repositories.get(path)!
    const children = manifests.get(digest)?.children ?? []
    return [digest, ...children.flatMap((child) => this.manifestsOf(path, child))]
  }

  /** What is attached to a manifest, and to that: live tags by name, and manifests that name it as their subject. */
  attachedTo(
    path: string,
    subject: string,
    depth = 0,
  ): {
    readonly tags: readonly QuayTag[]
    readonly referrers: readonly string[]
  } {
    const repository = this.quay.model.repositories.get(path)!
    const name = subject.replace(':', '-')
    const live = repository.liveAt(this.quay.now)
    const tags = live.filter((it) => it.name === name || it.name.startsWith(`${name}.`))
    const referrers = [...repository.manifests.values()]
      .filter((it) => it.subject === subject)
      .map(({ digest }) => digest)
    if (depth === 2) return { tags, referrers }
    const next = [...referrers, ...tags.filter((it) => it.name !== name).map((it) => it.digest)]
    const deeper = next.map((digest) => this.attachedTo(path, digest, depth + 1))
    return {
      tags: [...tags, ...deeper.flatMap((it) => it.tags)],
      referrers: [...referrers, ...deeper.flatMap((it) => it.referrers)],
    }
  }

  #set(repository: QuayRepository, tag: string, digest: string, endTs?: number): void {
    const { now } = this.quay
    repository.setTag(tag, digest, now, endTs === undefined ? {} : { endTs })
    const key = `${repository.path}:${tag}`
    const meant = this.everMeant.get(key) ?? new Set<string>()
    this.everMeant.set(key, meant.add(digest))
  }

  #sign(repository: QuayRepository, { name, digest }: QuayTag): string {
    const chance = this.#chance
    const kind = chance.weighted(SIGNATURES)
    const { path } = repository
    const all = this.manifestsOf(path, digest)
    const own = chance.chance(0.2) ? this.attachedTo(path, digest).referrers : []
    const subject = chance.pick([...all, ...own])
    const tag = subject.replace(':', '-')
    if (kind === 'sig' || kind === 'att' || kind === 'sbom') {
      this.#set(repository, `${tag}.${kind}`, this.#image(repository))
      return `${kind} of ${path}:${name}`
    }
    const { bytes, mediaType } = repository.manifests.get(subject)!
    const described = { mediaType, digest: subject, size: bytes.byteLength }
    const referrer = this.#image(repository, { subject: described })
    if (kind === 'fallback') {
      // As clients write it: every referrer, in an index.
      const others = [...repository.manifests.values()].filter((it) => it.subject === subject)
      const index = imageIndex(others.map((it) => this.#descriptor(repository, it.digest)))
      this.#set(repository, tag, repository.putManifest(index))
    }
    return `${kind} of ${path}:${name}: ${referrer}`
  }

  #content(repository: QuayRepository): string {
    if (this.#chance.chance(0.75)) return this.#image(repository)
    const images = [0, 1].map(() => this.#descriptor(repository, this.#image(repository)))
    return repository.putManifest(imageIndex(images))
  }

  #image(repository: QuayRepository, fields: Readonly<Record<string, unknown>> = {}): string {
    const chance = this.#chance
    this.#made += 1
    const own = `${chance.path} ${this.#made}`
    const layers = Array.from({ length: chance.between(0, 2) }, () => {
      const number = chance.between(1, 4)
      return contentOf(`${chance.path} shared ${number}`, number * 700)
    })
    if (chance.chance(0.7)) layers.push(contentOf(own, chance.between(1, 3_000)))
    const blob = (bytes: Buffer, mediaType: string): Descriptor => ({
      mediaType,
      digest: repository.putBlob(bytes),
      size: bytes.byteLength,
    })
    const config = blob(
      Buffer.from(JSON.stringify({ own })),
      'application/vnd.oci.image.config.v1+json',
    )
    const made = imageManifest(
      config,
      layers.map((bytes) => blob(bytes, layerType)),
      fields,
    )
    return repository.putManifest(made)
  }

  #descriptor(repository: QuayRepository, digest: string): Descriptor {
    const { bytes, children } = repository.manifests.get(digest)!
    const mediaType = children.length > 0 ? indexType : imageType
    return { mediaType, digest, size: bytes.byteLength }
  }
}
