/**
 * @module What the clients were told, and so what the registry must have: the judge of the crash
 * tests. It learns from requests and answers only, never from the server's own state.
 */
import { createHash } from 'node:crypto'
import { Register, Ticks, type Write } from './register.ts'
import { contentOf } from './seeded.ts'

/** Bytes that can be made again from a name, so that nobody has to keep them. */
export interface Content {
  readonly name: string
  readonly sizeBytes: number
  readonly digest: string
}

export interface BlobModel {
  readonly repository: string
  readonly content: Content
  readonly isThere: Register<boolean>
}

export interface ManifestModel {
  readonly repository: string
  readonly digest: string
  readonly mediaType: string
  readonly bytes: Buffer
  /** Digests of the blobs and manifests that it needs in its repository. */
  readonly children: readonly string[]
  readonly isThere: Register<boolean>
}

export interface TagModel {
  readonly repository: string
  readonly tag: string
  readonly target: Register<string | undefined>
}

export interface SessionModel {
  readonly repository: string
  readonly location: string
  readonly content: Content
  /** Bytes that the last answer counted. */
  ackedBytes: number
  /** Bytes that may have arrived: those of a chunk that was never answered count too. */
  attemptedBytes: number
  /** A streamed chunk counts in full or not at all. */
  isAllOrNothing: boolean
  /** An end (commit or cancel) was asked for. */
  mayBeGone: boolean
}

export class CrashModel {
  readonly ticks = new Ticks()
  readonly blobs = new Map<string, BlobModel>()
  readonly manifests = new Map<string, ManifestModel>()
  readonly tags = new Map<string, TagModel>()
  readonly sessions = new Map<string, SessionModel>()
  /** Locations of sessions that ended, for certain. */
  readonly endedSessions = new Set<string>()

  content(name: string, sizeBytes: number): Content {
    const hash = createHash('sha256').update(contentOf(name, sizeBytes)).digest('hex')
    return { name, sizeBytes, digest: `sha256:${hash}` }
  }

  digestOf(bytes: Buffer): string {
    return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  }

  blob(repository: string, content: Content): BlobModel {
    return entry(this.blobs, `${repository} ${content.digest}`, () => ({
      repository,
      content,
      isThere: new Register(this.ticks, false),
    }))
  }

  manifest(
    repository: string,
    mediaType: string,
    manifest: object,
    children: readonly string[],
  ): ManifestModel {
    const bytes = Buffer.from(JSON.stringify(manifest))
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    return entry(this.manifests, `${repository} ${digest}`, () => ({
      repository,
      digest,
      mediaType,
      bytes,
      children,
      isThere: new Register(this.ticks, false),
    }))
  }

  tag(repository: string, tag: string): TagModel {
    return entry(this.tags, `${repository} ${tag}`, () => ({
      repository,
      tag,
      target: new Register<string | undefined>(this.ticks, undefined),
    }))
  }

  openSession(repository: string, location: string, content: Content): SessionModel {
    const session = {
      repository,
      location,
      content,
      ackedBytes: 0,
      attemptedBytes: 0,
      isAllOrNothing: false,
      mayBeGone: false,
    }
    this.sessions.set(location, session)
    return session
  }

  endSession(session: SessionModel): void {
    this.sessions.delete(session.location)
    this.endedSessions.add(session.location)
  }

  /** Blobs that a repository has, for certain. */
  blobsIn(repository: string): BlobModel[] {
    return [...this.blobs.values()].filter(
      (blob) => blob.repository === repository && blob.isThere.is(true),
    )
  }

  manifestsIn(repository: string): ManifestModel[] {
    return [...this.manifests.values()].filter(
      (manifest) => manifest.repository === repository && manifest.isThere.is(true),
    )
  }

  tagsIn(repository: string): TagModel[] {
    return [...this.tags.values()].filter((tag) => tag.repository === repository)
  }

  crash(): void {
    for (const { isThere } of this.blobs.values()) isThere.crash()
    for (const { isThere } of this.manifests.values()) isThere.crash()
    for (const { target } of this.tags.values()) target.crash()
  }
}

function entry<V>(map: Map<string, V>, key: string, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    map.set(key, value)
  }
  return value
}

/** A write with the register that it is one of, so that several can be settled together. */
export class Pending {
  readonly #settle: ((outcome: 'confirm' | 'refuse' | 'giveUp') => void)[] = []

  begin<V>(register: Register<V>, value: V): this {
    const write: Write<V> = register.begin(value)
    this.#settle.push((outcome) => register[outcome](write))
    return this
  }

  /** A write that the request may or may not bring about. */
  maybe<V>(register: Register<V>, value: V): this {
    const write = register.begin(value)
    this.#settle.push((outcome) => register[outcome === 'confirm' ? 'giveUp' : outcome](write))
    return this
  }

  settle(outcome: 'confirm' | 'refuse'): void {
    for (const settle of this.#settle) settle(outcome)
  }
}
