/**
 * @module What people do to tags and take back: one is moved, up to a thousand are deleted. Each has an id, and the
 * id is enough to undo it while the window lasts. Whoever undoes needs the rights on the repository all the same.
 *
 *   d.<repository>.<random>   tags were deleted: their rows in the trash name the operation
 *   m.<facts>                 a tag was moved: the id says from where to where, and the tag's history has the rest
 */
import type { Deletes } from '../distribution/delete.ts'
import { findManifest } from '../distribution/pull.ts'
import type { ManifestPushes } from '../distribution/push-manifest.ts'
import type { MetadataReader } from '../metadata/port.ts'
import { inTurns } from '../metadata/scan.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import { parseRepositoryName, type RepositoryName } from '../registry/name.ts'
import { parseTag, type Tag } from '../registry/tag.ts'
import { type Random, randomHexId } from '../runtime/random.ts'
import type { Undelete } from './undelete.ts'

export interface OperationsOptions {
  readonly metadata: MetadataReader
  readonly deletes: Deletes
  readonly pushes: ManifestPushes
  readonly undelete: Undelete
  readonly random: Random
}

/** An operation, as its id says. */
export type Operation =
  | { readonly kind: 'delete'; readonly id: string; readonly repository: RepositoryName }
  | {
      readonly kind: 'move'
      readonly repository: RepositoryName
      readonly tag: Tag
      /** Undefined: there was no such tag. */
      readonly from: Digest | undefined
      readonly to: Digest
    }

/** A tag that stays as it is, and why. */
export interface LeftTag {
  readonly tag: string
  readonly code: string
  readonly reason: string
}

export interface DeletedTags {
  readonly operation: string
  readonly deleted: readonly Tag[]
  readonly left: readonly LeftTag[]
}

export interface MovedTag {
  /** Undefined: it pointed there already. */
  readonly operation: string | undefined
  readonly from: Digest | undefined
}

export interface Undone {
  readonly tags: readonly string[]
  readonly manifests: readonly string[]
  readonly left: readonly LeftTag[]
}

/** Longest id, characters: two names and two digests. */
export const operationLengthMax = 1_500

/** Tags that are deleted or brought back at the same time. */
const atOnce = 16

/** Looks at a tag that others move too, and at one whose image comes back at the same time. */
const looksMax = 5
const undoLooksMax = 10

export class Operations {
  readonly #options: OperationsOptions

  constructor(options: OperationsOptions) {
    this.#options = options
  }

  /** Deletes one tag; what takes it back. Throws what the delete throws. */
  async deleteTag(repository: RepositoryName, tag: Tag, by: string): Promise<string> {
    const operation = this.#deleteId(repository)
    await this.#options.deletes.deleteTag(repository, tag, by, { operation })
    return operation
  }

  /**
   * Deletes tags, each by itself: what cannot go is named with its reason, and the others go. On disk when it
   * resolves. Throws DELETES_OFF.
   */
  async deleteTags(
    repository: RepositoryName,
    tags: readonly Tag[],
    by: string,
  ): Promise<DeletedTags> {
    const { deletes } = this.#options
    deletes.requireAllowed()
    const operation = this.#deleteId(repository)
    const { done, left } = await each([...new Set(tags)], (tag) =>
      deletes.deleteTag(repository, tag, by, { operation }),
    )
    return { operation, deleted: done.map(({ it }) => it), left }
  }

  /**
   * Points a tag at a manifest of its repository. `expected`: what it has to point at now, null for no such tag;
   * undefined: whatever it does. Throws MANIFEST_UNKNOWN, MANIFEST_CHANGED, and what a push throws.
   */
  async move(
    { repository, tag, to }: Omit<Extract<Operation, { kind: 'move' }>, 'kind' | 'from'>,
    expected: Digest | null | undefined,
    by: string,
  ): Promise<MovedTag> {
    const { metadata } = this.#options
    for (let looks = 1; ; looks += 1) {
      const current = metadata.get('tags', [repository, tag])?.digest
      const from = expected === undefined ? current : (expected ?? undefined)
      try {
        if (current !== from) throw changed(tag, current)
        findManifest(metadata, repository, { kind: 'digest', digest: to })
        if (current === to) return { from, operation: undefined }
        await this.#push(repository, tag, to, from, by)
      } catch (error) {
        const hasMoved = error instanceof RegistryError && error.kind === 'MANIFEST_CHANGED'
        if (hasMoved && expected === undefined && looks < looksMax) continue
        throw error
      }
      return { from, operation: moveId(repository, tag, from, to) }
    }
  }

  /** Takes it back, as far as nobody has gone on from there. Undefined: nothing of it is left. */
  async undo(operation: Operation, by: string): Promise<Undone | undefined> {
    return operation.kind === 'delete'
      ? this.#undoDelete(operation, by)
      : this.#undoMove(operation, by)
  }

  async #undoDelete(
    { id, repository }: Extract<Operation, { kind: 'delete' }>,
    by: string,
  ): Promise<Undone | undefined> {
    const { metadata, undelete } = this.#options
    const targets = new Map<Tag, Digest>()
    for await (const { key, row } of inTurns(metadata, 'deletedTags', [repository])) {
      if (row.operation === id) targets.set(key[1], row.row.digest)
    }
    if (targets.size === 0) return undefined
    const { done, left } = await each([...targets.keys()], async (tag) => {
      for (let looks = 1; ; looks += 1) {
        try {
          return await undelete.tag(repository, tag, undefined, by)
        } catch (error) {
          // Others take the same back, or another tag of the same image.
          const isBack = metadata.get('tags', [repository, tag])?.digest === targets.get(tag)
          if (isBack) return { tags: [], manifests: [] }
          const isBusy = error instanceof RegistryError && error.kind === 'UNDELETE_CONFLICT'
          if (!isBusy || looks >= undoLooksMax) throw error
        }
      }
    })
    const restored = (kind: 'tags' | 'manifests') => [
      ...new Set(done.flatMap(({ result }) => result[kind])),
    ]
    return { tags: restored('tags'), manifests: restored('manifests'), left }
  }

  async #undoMove(
    { repository, tag, from, to }: Extract<Operation, { kind: 'move' }>,
    by: string,
  ): Promise<Undone | undefined> {
    const { metadata, deletes, undelete } = this.#options
    const current = metadata.get('tags', [repository, tag])?.digest
    if (current === from) return undefined
    if (current !== to) throw changed(tag, current)
    if (from === undefined) {
      await deletes.deleteTag(repository, tag, by, { onlyAt: to })
      return { tags: [], manifests: [], left: [] }
    }
    const isHere = metadata.get('manifests', [repository, from]) !== undefined
    const manifests = isHere ? [] : (await undelete.manifest(repository, from, by)).manifests
    await this.#push(repository, tag, from, to, by)
    return { tags: [tag], manifests, left: [] }
  }

  #deleteId(repository: RepositoryName): string {
    return `d.${encode(repository)}.${randomHexId(this.#options.random).slice(0, 16)}`
  }

  /** A push of what is here: the same rules hold for the tag, and the same is written down. */
  async #push(
    repository: RepositoryName,
    tag: Tag,
    digest: Digest,
    from: Digest | undefined,
    by: string,
  ): Promise<void> {
    const { metadata, pushes } = this.#options
    const { row } = findManifest(metadata, repository, { kind: 'digest', digest })
    await metadata.pageIn('manifestBytes', digest)
    const bytes = metadata.getBytes('manifestBytes', digest)?.slice()
    if (bytes === undefined) throw new RegistryError('MANIFEST_UNKNOWN', { detail: { digest } })
    await pushes.push({
      repository,
      reference: { kind: 'tag', tag },
      tags: [],
      expected: digest,
      contentType: row.mediaType,
      bytes,
      condition:
        from === undefined
          ? { ifMatch: undefined, ifNoneMatch: '*' }
          : { ifMatch: `"${from}"`, ifNoneMatch: undefined },
      by,
    })
  }
}

/** The operation of an id; undefined: it is none. It gives no right to anything. */
export function parseOperation(id: string): Operation | undefined {
  if (id.length > operationLengthMax) return undefined
  const [kind, facts = '', random, ...more] = id.split('.')
  if (more.length > 0) return undefined
  if (kind === 'd' && random !== undefined && /^[0-9a-f]{16}$/.test(random)) {
    const name = parseRepositoryName(decode(facts))
    return name.ok ? { kind: 'delete', id, repository: name.value } : undefined
  }
  return kind === 'm' && random === undefined ? parseMove(decode(facts)) : undefined
}

function parseMove(text: string): Operation | undefined {
  const [name = '', tagText = '', fromText = '', toText = '', ...more] = text.split('\n')
  const [repository, tag] = [parseRepositoryName(name), parseTag(tagText)]
  const [from, to] = [parseDigest(fromText), parseDigest(toText)]
  if (!repository.ok || !tag.ok || !to.ok || more.length > 0) return undefined
  if (!from.ok && fromText !== '') return undefined
  const before = from.ok ? from.value : undefined
  return { kind: 'move', repository: repository.value, tag: tag.value, from: before, to: to.value }
}

function moveId(repository: string, tag: string, from: string | undefined, to: string): string {
  return `m.${encode([repository, tag, from ?? '', to].join('\n'))}`
}

const encode = (text: string) => Buffer.from(text, 'utf8').toString('base64url')
const decode = (text: string) => Buffer.from(text, 'base64url').toString('utf8')

function changed(tag: Tag, current: string | undefined): RegistryError {
  return new RegistryError('MANIFEST_CHANGED', { detail: { tag, current: current ?? null } })
}

/** Runs `work` for each, a few at a time. What is refused is named; a fault of ours as well, with the others done. */
async function each<R>(
  tags: readonly Tag[],
  work: (tag: Tag) => Promise<R>,
): Promise<{ done: { readonly it: Tag; readonly result: R }[]; left: LeftTag[] }> {
  const done: { it: Tag; result: R }[] = []
  const left: LeftTag[] = []
  let next = 0
  const one = async () => {
    while (next < tags.length) {
      const it = tags[next]!
      next += 1
      try {
        done.push({ it, result: await work(it) })
      } catch (error) {
        if (!(error instanceof RegistryError)) throw error
        left.push({ tag: it, code: error.code, reason: error.message })
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  return { done, left }
}
