/**
 * @module What the stand-in of Quay holds: namespaces, repositories, the history of their tags, who may read
 * what. Times are whole seconds, as in Quay. Pages come from arrays that are kept until something changes.
 */
import { digestOf } from '../../../src/registry/hasher.ts'

export interface QuayContent {
  readonly bytes: Buffer
  readonly mediaType: string
  readonly digest: string
  readonly subject: string | undefined
  readonly artifactType: string | undefined
  readonly annotations: Readonly<Record<string, string>> | undefined
  /** Of an index: what it names. */
  readonly children: readonly string[]
}

export interface QuayTag {
  readonly name: string
  readonly digest: string
  readonly startTs: number
  /** When its lifetime ends or has ended; undefined: it has no end. */
  endTs: number | undefined
  readonly isImmutable: boolean
}

export type QuayState = 'NORMAL' | 'READ_ONLY' | 'MIRROR' | 'ORG_MIRROR'

/** A tag that another one signs: it ends with the last tag of its subject. */
const COSIGN = ['sig', 'att', 'sbom']

interface Kept {
  readonly from: number
  /** The first second for which the list is no longer right. */
  readonly until: number
  readonly tags: readonly QuayTag[]
}

export class QuayRepository {
  readonly namespace: string
  readonly name: string
  readonly path: string
  isPublic: boolean
  state: QuayState = 'NORMAL'
  kind: 'image' | 'application' = 'image'
  readonly readers = new Set<string>()
  readonly manifests = new Map<string, QuayContent>()
  readonly blobs = new Map<string, Buffer>()
  /** Pulls that its statistics count. */
  pulls = 0
  readonly #live = new Map<string, QuayTag>()
  readonly #history: QuayTag[] = []
  #kept: Kept | undefined
  #byTime: readonly QuayTag[] | undefined

  constructor(namespace: string, name: string, isPublic: boolean) {
    this.namespace = namespace
    this.name = name
    this.path = `${namespace}/${name}`
    this.isPublic = isPublic
  }

  putBlob(bytes: Buffer): string {
    const digest = digestOf('sha256', bytes)
    this.blobs.set(digest, bytes)
    return digest
  }

  putManifest(manifest: object | string, type?: string): string {
    const bytes = Buffer.from(typeof manifest === 'string' ? manifest : JSON.stringify(manifest))
    const read = JSON.parse(bytes.toString()) as {
      mediaType?: string
      subject?: { digest: string }
      artifactType?: string
      config?: { mediaType?: string }
      annotations?: Record<string, string>
      manifests?: { digest: string }[]
    }
    const digest = digestOf('sha256', bytes)
    this.manifests.set(digest, {
      bytes,
      digest,
      mediaType: type ?? read.mediaType ?? 'application/vnd.oci.image.manifest.v1+json',
      subject: read.subject?.digest,
      artifactType: read.artifactType ?? read.config?.mediaType,
      annotations: read.annotations,
      children: (read.manifests ?? []).map((child) => child.digest),
    })
    return digest
  }

  /** Sets a tag at a second; one that was there ends at it. */
  setTag(
    name: string,
    digest: string,
    at: number,
    more: { readonly endTs?: number; readonly isImmutable?: boolean } = {},
  ): void {
    const before = this.#live.get(name)
    const tag = {
      name,
      digest,
      startTs: at,
      endTs: more.endTs,
      isImmutable: more.isImmutable === true,
    }
    this.#live.set(name, tag)
    this.#history.push(tag)
    this.#changed()
    if (before === undefined) return
    if (before.endTs === undefined || before.endTs > at) before.endTs = at
    if (before.digest !== digest) this.#endSigned(before.digest, at)
  }

  /** Ends a tag's lifetime. */
  deleteTag(name: string, at: number): void {
    const tag = this.#live.get(name)
    if (tag === undefined) return
    tag.endTs = at
    this.#live.delete(name)
    this.#changed()
    this.#endSigned(tag.digest, at)
  }

  #endSigned(subject: string, at: number): void {
    for (const tag of this.#live.values()) if (tag.digest === subject) return
    for (const kind of COSIGN) this.deleteTag(`${subject.replace(':', '-')}.${kind}`, at)
  }

  #changed(): void {
    this.#kept = undefined
    this.#byTime = undefined
  }

  /** Live at a second, the newest first, then by name. */
  liveAt(at: number): readonly QuayTag[] {
    const kept = this.#kept
    if (kept !== undefined && at >= kept.from && at < kept.until) return kept.tags
    let until = Number.POSITIVE_INFINITY
    const tags: QuayTag[] = []
    for (const tag of this.#history) {
      for (const edge of [tag.startTs, tag.endTs]) {
        if (edge !== undefined && edge > at) until = Math.min(until, edge)
      }
      if (tag.startTs <= at && (tag.endTs === undefined || tag.endTs > at)) tags.push(tag)
    }
    tags.sort(newestFirst)
    this.#kept = { from: at, until, tags }
    return tags
  }

  /** Every tag that ever was, dead ones as well. */
  get everyTag(): readonly QuayTag[] {
    this.#byTime ??= [...this.#history].sort(newestFirst)
    return this.#byTime
  }

  tagAt(name: string, at: number): QuayTag | undefined {
    const tag = this.#live.get(name)
    if (tag !== undefined && tag.startTs <= at) {
      return tag.endTs === undefined || tag.endTs > at ? tag : undefined
    }
    return this.liveAt(at).find((it) => it.name === name)
  }

  /** Whether a tag of this name has ended. */
  wasTag(name: string): boolean {
    return this.#history.some((tag) => tag.name === name)
  }
}

function newestFirst(a: QuayTag, b: QuayTag): number {
  return b.startTs - a.startTs || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
}

export interface QuayNamespace {
  readonly kind: 'organization' | 'user'
  /** Who may see whether a repository of it is there. */
  readonly admins: ReadonlySet<string>
  readonly repositories: QuayRepository[]
}

export class QuayModel {
  readonly namespaces = new Map<string, QuayNamespace>()
  readonly repositories = new Map<string, QuayRepository>()
  /** In the order of their rows. */
  readonly #all: QuayRepository[] = []
  readonly #visible = new Map<string, readonly QuayRepository[]>()

  addNamespace(
    name: string,
    kind: QuayNamespace['kind'] = 'organization',
    admins: readonly string[] = [],
  ): void {
    this.namespaces.set(name, { kind, admins: new Set(admins), repositories: [] })
  }

  addRepository(
    path: string,
    options: { readonly isPublic?: boolean; readonly readers?: readonly string[] } = {},
  ): QuayRepository {
    const slash = path.indexOf('/')
    const namespace = path.slice(0, slash)
    if (!this.namespaces.has(namespace)) this.addNamespace(namespace)
    const repository = new QuayRepository(
      namespace,
      path.slice(slash + 1),
      options.isPublic === true,
    )
    for (const reader of options.readers ?? []) repository.readers.add(reader)
    this.repositories.set(path, repository)
    this.namespaces.get(namespace)!.repositories.push(repository)
    this.#all.push(repository)
    this.visibilityChanged()
    return repository
  }

  removeRepository(path: string): void {
    const repository = this.repositories.get(path)
    if (repository === undefined) return
    this.repositories.delete(path)
    const { repositories } = this.namespaces.get(repository.namespace)!
    repositories.splice(repositories.indexOf(repository), 1)
    this.#all.splice(this.#all.indexOf(repository), 1)
    this.visibilityChanged()
  }

  setPublic(path: string, isPublic: boolean): void {
    this.repositories.get(path)!.isPublic = isPublic
    this.visibilityChanged()
  }

  /** To be called after readers or the kind of a repository were changed by hand. */
  visibilityChanged(): void {
    this.#visible.clear()
  }

  /** What a visitor is shown, by row; `withPublic`: public ones of others as well. */
  visible(
    namespace: string | undefined,
    visitor: string | undefined,
    withPublic: boolean,
    imagesAlone = false,
  ): readonly QuayRepository[] {
    const key = JSON.stringify([namespace, visitor, withPublic, imagesAlone])
    const known = this.#visible.get(key)
    if (known !== undefined) return known
    const all =
      namespace === undefined ? this.#all : (this.namespaces.get(namespace)?.repositories ?? [])
    const shown = all.filter(
      (it) =>
        ((withPublic && it.isPublic) || (visitor !== undefined && it.readers.has(visitor))) &&
        (!imagesAlone || it.kind === 'image'),
    )
    this.#visible.set(key, shown)
    return shown
  }
}
