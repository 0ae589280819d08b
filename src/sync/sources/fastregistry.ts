/**
 * @module FastRegistry as a source: any registry for its lists, and its history for what changed since. The
 * history is exact, with deletions; where it is not shown or has been cut, a full pass is what is left.
 */
import { type Digest, parseDigest } from '../../registry/digest.ts'
import { manifestBytesMax } from '../../registry/limits.ts'
import { namesakeOf } from '../../registry/named-tag.ts'
import { UpstreamError } from '../../upstream/error.ts'
import { basicHeader, bearerHeader, type Credential } from '../../upstream/tokens.ts'
import type { Changes, TellsChanges } from '../port.ts'
import { Asking } from './asking.ts'
import { fieldsOf, type JsonPage, textOf } from './json-page.ts'
import { RegistrySource, type RegistrySourceOptions } from './registry.ts'

/** Events of one page, and pages of one answer: what is behind them is told the next time. */
const eventsAtOnce = 1_000
const pagesAtOnce = 20

/** Manifests without a tag that one answer looks into; beyond, their repositories are listed. */
const untaggedMax = 200

/** What the peer did for a sync of its own stands in its history so. */
const syncPrefix = 'sync:'

export interface PeerEvent {
  /** The peer's name of the repository. */
  readonly repository: string
  readonly tag: string
  readonly digest: Digest | undefined
}

export interface FastRegistrySourceOptions extends RegistrySourceOptions {
  /**
   * The source's; undefined: nobody in particular asks. Sent as it is: a token of the token server would show the
   * history of what it was asked for, and a peer that shows some of it to everybody never asks who it is.
   */
  readonly credential: Credential | undefined
  /**
   * Whether a tag that a sync of the peer set is one that the peer has from here: asked only for such tags. They
   * are left out, so that two registries that follow each other come to rest.
   */
  readonly isEcho: (event: PeerEvent) => boolean
}

export class FastRegistrySource extends RegistrySource implements TellsChanges {
  readonly #options: FastRegistrySourceOptions
  readonly #asking: Asking

  constructor(options: FastRegistrySourceOptions) {
    super(options)
    this.#options = options
    this.#asking = new Asking(options.upstream, options.clock)
  }

  async changes(cursor: string | undefined, signal: AbortSignal): Promise<Changes> {
    const after = cursor !== undefined && /^\d{1,16}$/.test(cursor) ? Number(cursor) : undefined
    try {
      if (after === undefined) return await this.#begin('no place in its history is known', signal)
      return await this.#since(after, signal)
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      if (error.status === 410) {
        return await this.#begin('its history does not reach back far enough', signal)
      }
      if (!error.isRefusal && error.kind !== 'auth') throw error
      const message = `the history is not shown (${error.status ?? error.kind}), so each run is a full pass: the account needs a right in the repositories of the peer`
      return { kind: 'full-pass', cursor: undefined, message }
    }
  }

  /** The place before the full pass: what happens during it is told again afterwards. */
  async #begin(message: string, signal: AbortSignal): Promise<Changes> {
    const page = await this.#page('order=desc&limit=1', signal)
    return { kind: 'full-pass', cursor: String(numberOf(page.value('last'))), message }
  }

  async #since(start: number, signal: AbortSignal): Promise<Changes> {
    const found = new Map<string, Changed>()
    let after = start
    let hasMore = true
    for (let pages = 0; hasMore && pages < pagesAtOnce; pages += 1) {
      const page = await this.#page(`after=${after}&limit=${eventsAtOnce}`, signal)
      let events = 0
      for await (const entry of page.list('events')) {
        // All of one answer are held: a peer that sends more than it was asked for is not followed.
        events += 1
        if (events > eventsAtOnce) throw garbage('more events than it was asked for')
        this.#note(found, fieldsOf(entry))
      }
      const next = page.value('next')
      const last = numberOf(next ?? page.value('last'))
      if (last < after || (next !== undefined && last === after)) throw garbage()
      hasMore = next !== undefined
      after = last
    }
    await this.#lookInto(found, signal)
    const repositories = [...found.values()].filter((it) => it.isWanted)
    return { kind: 'changes', repositories, cursor: String(after), hasMore }
  }

  async #page(query: string, signal: AbortSignal): Promise<JsonPage> {
    const { credential } = this.#options
    const path = `/admin/events?${query}`
    const shown =
      credential && ((await basicHeader(credential)) ?? (await bearerHeader(credential)))
    const ownHeaders = shown === undefined ? {} : { ownHeaders: { Authorization: shown } }
    const wanted = { method: 'GET', path, class: 'api', scope: '', ...ownHeaders } as const
    return (await this.#asking.page(wanted, signal)).json
  }

  #note(found: Map<string, Changed>, event: Readonly<Record<string, unknown>>): void {
    const action = textOf(event['action']) ?? ''
    const parsed = parseDigest(textOf(event['digest']) ?? '')
    const digest = parsed.ok ? parsed.value : undefined
    // A repository that was renamed is gone under its old name: only a full pass says so.
    const of = this.#changedOf(found, textOf(event['repository'], 512))
    if (of === undefined) return
    const tag = textOf(event['tag'], 128)
    if (tag === undefined) return of.noteWhole(action, digest)
    if (action === 'delete-tag') return of.noteDeleted(tag)
    if (!SETS.has(action)) return
    const isOfSync = textOf(event['by'])?.startsWith(syncPrefix) === true
    // Where it pointed before, it does no longer: nothing is left to follow.
    if (isOfSync && this.#options.isEcho({ repository: of.name, tag, digest })) of.noteEcho(tag)
    else of.noteSet(tag, digest)
  }

  /** By the name below the path of the URL. */
  #changedOf(found: Map<string, Changed>, full: string | undefined): Changed | undefined {
    const { namePrefix = '' } = this.#options
    if (full?.startsWith(namePrefix) !== true) return undefined
    const name = full.slice(namePrefix.length)
    if (name === '') return undefined
    const known = found.get(name) ?? new Changed(name)
    found.set(name, known)
    return known
  }

  /** Finds what manifests without a tag are attached to; parts of indexes are attached to nothing. */
  async #lookInto(found: ReadonlyMap<string, Changed>, signal: AbortSignal): Promise<void> {
    let looks = 0
    for (const of of found.values()) {
      if (of.isWhole) continue
      looks += of.untagged.size
      if (looks > untaggedMax) {
        of.isWhole = true
        continue
      }
      for (const digest of of.untagged) {
        const subject = await this.#subjectOf(of.name, digest, signal)
        if (subject !== undefined) of.subjects.add(subject)
      }
    }
  }

  async #subjectOf(
    repository: string,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<Digest | undefined> {
    try {
      const headers = { Accept: '*/*' }
      const wanted = { repository, tail: `manifests/${digest}`, headers }
      const { bytes } = await this.#asking.bytes(wanted, signal, manifestBytesMax)
      const subject = fieldsOf(JSON.parse(bytes.toString()))['subject']
      const parsed = parseDigest(textOf(fieldsOf(subject)['digest']) ?? '')
      return parsed.ok ? parsed.value : undefined
    } catch (error) {
      if (error instanceof SyntaxError) return undefined
      // What is gone, or not for us, is attached to nothing that we have.
      if (error instanceof UpstreamError && error.isRefusal) return undefined
      throw error
    }
  }
}

/** Actions that set a tag. */
const SETS: ReadonlySet<string> = new Set(['push', 'copy', 'undelete-tag'])

/** Actions of a whole repository, or of a manifest with whatever tags it had. */
const WHOLE: ReadonlySet<string> = new Set([
  'delete-manifest',
  'delete-repository',
  'undelete-manifest',
  'copy',
  'rename-repository',
])

class Changed {
  readonly name: string
  readonly tags = new Map<string, Digest | undefined>()
  readonly deleted = new Set<string>()
  readonly subjects = new Set<Digest>()
  readonly removed = new Set<Digest>()
  readonly untagged = new Set<Digest>()
  isWhole = false

  constructor(name: string) {
    this.name = name
  }

  get isWanted(): boolean {
    return this.isWhole || this.tags.size + this.deleted.size + this.subjects.size > 0
  }

  noteEcho(tag: string): void {
    this.tags.delete(tag)
    this.deleted.delete(tag)
  }

  noteSet(tag: string, digest: Digest | undefined): void {
    this.deleted.delete(tag)
    // What is attached by its name follows its subject.
    const subject = namesakeOf(tag)
    if (subject === undefined) this.tags.set(tag, digest)
    else this.subjects.add(subject)
  }

  noteDeleted(tag: string): void {
    this.tags.delete(tag)
    if (namesakeOf(tag) === undefined) this.deleted.add(tag)
  }

  noteWhole(action: string, digest: Digest | undefined): void {
    if (action === 'delete-manifest' && digest !== undefined) this.removed.add(digest)
    if (WHOLE.has(action)) this.isWhole = true
    else if (action === 'push' && digest !== undefined && this.untagged.size <= untaggedMax) {
      this.untagged.add(digest)
    }
  }
}

function numberOf(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw garbage()
  return value
}

function garbage(what = 'events without an order'): UpstreamError {
  return new UpstreamError('garbage', `upstream sends ${what}`)
}
