/**
 * @module Where a repository of a source lies here: `strip` is taken off upstream's name, `destination` is
 * put before it. And whose a local name is, when two repositories would lie there.
 */
import type { SyncSourceConfig } from '../../config/config.ts'
import { parseRepositoryName, type RepositoryName } from '../../registry/name.ts'

export type Mapping = Pick<SyncSourceConfig, 'strip' | 'destination'>

export type MappedName =
  | { readonly kind: 'local'; readonly name: RepositoryName }
  /** Skipped and counted. The message has no more of a stranger's name than fits a line. */
  | { readonly kind: 'bad-name'; readonly message: string }

/** Longest piece of a name that a message repeats, characters. */
const quotedLengthMax = 80

/** The local name of an upstream repository. */
export function mapName({ strip, destination }: Mapping, upstream: string): MappedName {
  if (!parseRepositoryName(upstream).ok) return badName(upstream, 'is no repository name')
  const stripped = upstream.startsWith(strip) ? upstream.slice(strip.length) : upstream
  // A prefix without its slash leaves one behind.
  const rest = stripped.startsWith('/') ? stripped.slice(1) : stripped
  const local = [destination, rest].filter((part) => part !== '').join('/')
  const parsed = parseRepositoryName(local)
  return parsed.ok
    ? { kind: 'local', name: parsed.value }
    : badName(upstream, `has no local name behind strip and destination`)
}

function badName(name: string, what: string): MappedName {
  const quoted = JSON.stringify(name.slice(0, quotedLengthMax))
  return { kind: 'bad-name', message: `${quoted} ${what}` }
}

/** A repository of a source. */
export interface Claimant {
  readonly source: string
  /** Upstream's name. */
  readonly repository: string
}

export type Claim =
  | { readonly kind: 'owned' }
  | { readonly kind: 'collision'; readonly owner: Claimant }

/**
 * Whose local names are. Of two sources the earlier in the configuration owns a name, of two repositories
 * of one source the one that came first. The other one is refused before anything of it is fetched.
 * One entry for each local name: as many as there are repositories.
 */
export class NameOwners {
  readonly #rank: ReadonlyMap<string, number>
  readonly #owners = new Map<RepositoryName, Claimant>()

  /** `sources`: names in the order of the configuration. */
  constructor(sources: readonly string[]) {
    this.#rank = new Map(sources.map((name, index) => [name, index]))
  }

  /**
   * Asked before each repository of a run, and for what is stored or named in the configuration when the
   * server starts. An owner that comes late takes the name: the other one hears of it at its next claim.
   */
  claim(name: RepositoryName, by: Claimant): Claim {
    const owner = this.#owners.get(name)
    if (owner !== undefined && !this.#isBefore(by, owner)) {
      const isSame = owner.source === by.source && owner.repository === by.repository
      return isSame ? { kind: 'owned' } : { kind: 'collision', owner }
    }
    this.#owners.set(name, by)
    return { kind: 'owned' }
  }

  ownerOf(name: RepositoryName): Claimant | undefined {
    return this.#owners.get(name)
  }

  /** What is no longer selected claims nothing. */
  release(name: RepositoryName, by: Claimant): void {
    const owner = this.#owners.get(name)
    if (owner?.source === by.source && owner.repository === by.repository) {
      this.#owners.delete(name)
    }
  }

  #isBefore(one: Claimant, other: Claimant): boolean {
    return this.#rankOf(one.source) < this.#rankOf(other.source)
  }

  /** A source that is no longer configured comes behind all others. */
  #rankOf(source: string): number {
    return this.#rank.get(source) ?? Number.POSITIVE_INFINITY
  }
}
