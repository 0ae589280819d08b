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

/** Members of one index, and of all below one digest, that are followed. */
const membersMax = 20_000

/** Why a digest may not be pulled. */
export interface Revocation {
  /** What was revoked: the digest itself, or an index that lists it. */
  readonly digest: Digest
  readonly reason: string
}

export class Revoked {
  readonly #metadata: MetadataReader
  readonly #configured: readonly Digest[]
  readonly #listeners: (() => void)[] = []
  #all: ReadonlyMap<string, Revocation>

  constructor(metadata: MetadataReader, configured: readonly Digest[]) {
    this.#metadata = metadata
    this.#configured = configured
    this.#all = this.#read()
  }

  readonly effects: EffectListener = {
    revoked: () => this.renew(),
    // An index that was revoked before it came lists what it lists only now.
    manifest: (_repository, digest) => {
      if (this.#all.size > 0 && this.#all.has(digest)) this.renew()
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
    this.#all = this.#read()
    const isSame =
      before.size === this.#all.size && [...before.keys()].every((it) => this.#all.has(it))
    if (isSame) return
    for (const listener of this.#listeners) listener()
  }

  #read(): ReadonlyMap<string, Revocation> {
    const all = new Map<string, Revocation>()
    for (const digest of this.#configured) {
      this.#add(all, { digest, reason: 'by the configuration' })
    }
    for (const { key, row } of this.#metadata.entries('revoked', [], undefined, revocationsMax)) {
      this.#add(all, { digest: key, reason: row.reason })
    }
    return all
  }

  /** With what it lists, as deep as members inherit from it. */
  #add(all: Map<string, Revocation>, root: Revocation): void {
    all.set(root.digest, root)
    let level: readonly string[] = [root.digest]
    let left = membersMax
    for (let depth = 0; depth < levelsMax && level.length > 0; depth += 1) {
      const below: string[] = []
      for (const it of level) {
        if (left <= 0) return
        for (const { key, row } of this.#metadata.entries('children', [it], undefined, left)) {
          if (row.kind !== 'manifest') continue
          left -= 1
          below.push(key[1])
          if (!all.has(key[1])) all.set(key[1], root)
        }
      }
      level = below
    }
  }
}
