/**
 * @module The kill switch: digests that nobody may pull any more, in any repository, with everything that an index
 * among them lists. Those of the configuration, and rows of `revoked`. Kept in memory, so that a registry without any
 * pays one comparison where an answer is prepared, and nothing where one is ready.
 */
import type { EffectListener } from '../metadata/effects.ts'
import type { MetadataReader } from '../metadata/port.ts'
import { levelsMax } from '../metadata/verdicts/drops.ts'
import type { Digest } from '../registry/digest.ts'

/** Rows of `revoked`. */
export const revocationsMax = 10_000

/** Rows that are read of what one manifest refers to, and of all manifests together: layers among them. */
const rowsMax = 20_000
const allRowsMax = 250_000

/** Why a digest may not be pulled. */
export interface Revocation {
  /** What was revoked: the digest itself, or an index that lists it. */
  readonly digest: Digest
  readonly reason: string
}

/** One in memory, with how far below what was revoked it is. */
interface Entry extends Revocation {
  readonly depth: number
}

/** What a manifest refers to. */
interface List {
  /** The manifests among it. */
  readonly members: readonly string[]
  /** How many rows were read. */
  readonly rows: number
  readonly isCut: boolean
}

type Lists = ReadonlyMap<string, List>

export class Revoked {
  readonly #metadata: MetadataReader
  readonly #configured: readonly Digest[]
  readonly #onCut: (root: Digest) => void
  readonly #listeners: (() => void)[] = []
  #all = new Map<string, Entry>()
  /** Of manifests that are revoked and were here: what one lists never changes, because a digest names it. */
  #lists = new Map<string, List>()
  /** What was revoked and lists more than is followed. */
  readonly #cut = new Set<Digest>()
  #rowsLeft = allRowsMax

  /** `onCut` hears of what was revoked and lists more than is followed: what is left over can be pulled. */
  constructor(
    metadata: MetadataReader,
    configured: readonly Digest[],
    onCut: (root: Digest) => void,
  ) {
    this.#metadata = metadata
    this.#configured = configured
    this.#onCut = onCut
    this.#read()
  }

  readonly effects: EffectListener = {
    revoked: (digest) => this.#renewOne(digest),
    // An index that was revoked before it came lists what it lists only now.
    manifest: (_repository, digest) => {
      if (this.#all.size > 0) this.#cameIn(digest)
    },
  }

  /** Calls back when other digests are revoked than before, and before the writer hears that its change is done. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Why it may not be pulled; undefined: it may. */
  of(digest: Digest): Revocation | undefined {
    return this.#all.size === 0 ? undefined : this.#all.get(digest)
  }

  /** Whether anything is revoked at all. */
  get isEmpty(): boolean {
    return this.#all.size === 0
  }

  /** Reads the rows again. */
  renew(): void {
    const before = this.#all
    this.#read()
    const isSame =
      before.size === this.#all.size && [...before.keys()].every((it) => this.#all.has(it))
    if (!isSame) this.#tell()
  }

  /** What is revoked newly is added to the others; anything else is rare. */
  #renewOne(digest: Digest): void {
    const row = this.#metadata.get('revoked', digest)
    if (row === undefined || this.#all.get(digest)?.depth === 0) return this.renew()
    this.#cut.delete(digest)
    this.#add({ digest, reason: row.reason })
    this.#tell()
  }

  #cameIn(digest: Digest): void {
    const entry = this.#all.get(digest)
    if (entry === undefined || this.#lists.has(digest)) return
    const size = this.#all.size
    this.#follow(digest, entry)
    if (this.#all.size > size) this.#tell()
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }

  #read(): void {
    const known = this.#lists
    this.#all = new Map()
    this.#lists = new Map()
    this.#rowsLeft = allRowsMax
    for (const digest of this.#configured) {
      this.#add({ digest, reason: 'by the configuration' }, known)
    }
    for (const { key, row } of this.#metadata.entries('revoked', [], undefined, revocationsMax)) {
      this.#add({ digest: key, reason: row.reason }, known)
    }
  }

  #add(root: Revocation, known?: Lists): void {
    const entry = { ...root, depth: 0 }
    this.#all.set(root.digest, entry)
    this.#follow(root.digest, entry, known)
  }

  /** Adds what a manifest lists, as deep as members inherit from what was revoked. */
  #follow(from: string, entry: Entry, known?: Lists): void {
    let level: readonly string[] = [from]
    for (let depth = entry.depth + 1; depth <= levelsMax && level.length > 0; depth += 1) {
      const below: string[] = []
      for (const member of level.flatMap((it) => this.#listOf(it, entry.digest, known))) {
        const before = this.#all.get(member)
        if (before !== undefined && before.depth <= depth) continue
        this.#all.set(member, { ...(before ?? entry), depth })
        below.push(member)
      }
      level = below
    }
  }

  /** Manifests that a manifest lists; none as long as it is not here. */
  #listOf(digest: string, root: Digest, known: Lists | undefined): readonly string[] {
    const read = this.#lists.get(digest)
    if (read !== undefined) return read.members
    const before = known?.get(digest)
    // What was cut may have room by now.
    const list = before === undefined || before.isCut ? this.#readList(digest) : before
    if (list.rows === 0) return []
    this.#lists.set(digest, list)
    this.#rowsLeft -= list.rows
    if (list.isCut && !this.#cut.has(root)) {
      this.#cut.add(root)
      this.#onCut(root)
    }
    return list.members
  }

  #readList(digest: string): List {
    const max = Math.max(0, Math.min(rowsMax, this.#rowsLeft))
    const rows = this.#metadata.entries('children', [digest], undefined, max + 1)
    const members = rows
      .slice(0, max)
      .flatMap(({ key, row }) => (row.kind === 'manifest' ? key[1] : []))
    return { members, rows: rows.length, isCut: rows.length > max }
  }
}
