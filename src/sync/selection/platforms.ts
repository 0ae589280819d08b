/**
 * @module Which manifests of an index are copied. The index itself keeps its bytes, so its digest and its
 * signatures hold; what is not wanted is not fetched. What strangers write into an index is looked at
 * once, in one pass.
 */
import { isImageIndex } from '../../registry/media-type.ts'

/** A platform as an index or an image config says it. */
export interface Platform {
  readonly os?: unknown
  readonly architecture?: unknown
  readonly variant?: unknown
}

/** What is looked at of a manifest in an index. */
export interface IndexEntry {
  readonly digest: string
  readonly mediaType?: unknown
  readonly platform?: Platform | null
  readonly annotations?: Readonly<Record<string, unknown>> | null
}

export interface WantedChildren {
  /** Digests, in the order of the index. */
  readonly wanted: readonly string[]
  readonly unwanted: readonly string[]
  /** Whether any is wanted for what it is, and not for what it is attached to. */
  readonly isMatched: boolean
}

/** Of buildx: what an attestation in an index is of. */
const attestedDigest = 'vnd.docker.reference.digest'

/** Variants that go without saying (containerd's `platforms`). */
const DEFAULT_VARIANTS: Readonly<Record<string, string>> = { arm: 'v7', arm64: 'v8', amd64: 'v1' }

interface Wish {
  readonly os: string
  readonly architecture: string
  /** Undefined: any. */
  readonly variant: string | undefined
}

export class PlatformFilter {
  readonly #wishes: readonly Wish[]
  /** Whether content without a platform is wanted. */
  readonly #takesNone: boolean
  /** True: no platforms are configured, so everything is wanted. */
  readonly takesAll: boolean

  /** `os/arch[/variant]` each, and empty for content without a platform. */
  constructor(platforms: readonly string[]) {
    this.takesAll = platforms.length === 0
    this.#takesNone = platforms.includes('')
    this.#wishes = platforms
      .filter((one) => one !== '')
      .map((one) => {
        const [os = '', architecture = '', variant] = one.split('/')
        return { os, architecture, variant }
      })
  }

  /**
   * An inner index without a platform is wanted: what is in it is judged when it is there. An attestation
   * is wanted with what it is of.
   */
  children(entries: readonly IndexEntry[]): WantedChildren {
    if (this.takesAll) {
      const wanted = entries.map(({ digest }) => digest)
      return { wanted, unwanted: [], isMatched: true }
    }
    const matched = new Set(
      entries.filter((entry) => this.#isEntryWanted(entry)).map(({ digest }) => digest),
    )
    const wanted: string[] = []
    const unwanted: string[] = []
    for (const entry of entries) {
      const subject = entry.annotations?.[attestedDigest]
      const isAttached = typeof subject === 'string' && matched.has(subject)
      if (matched.has(entry.digest) || isAttached) wanted.push(entry.digest)
      else unwanted.push(entry.digest)
    }
    return { wanted, unwanted, isMatched: matched.size > 0 }
  }

  /**
   * Whether an image alone is wanted: `config` is its image config, read; undefined for one that is not
   * JSON, or has no platform, such as that of an artifact.
   */
  isImageWanted(config: Platform | undefined): boolean {
    if (this.takesAll) return true
    return hasPlatform(config) ? this.#fits(config) : this.#takesNone
  }

  #isEntryWanted({ platform, mediaType, annotations }: IndexEntry): boolean {
    // Its platform is unknown/unknown, and its word is not.
    if (typeof annotations?.[attestedDigest] === 'string') return false
    if (hasPlatform(platform)) return this.#fits(platform)
    return this.#takesNone || (typeof mediaType === 'string' && isImageIndex(mediaType))
  }

  #fits({ os, architecture, variant }: Platform): boolean {
    return this.#wishes.some(
      (wish) =>
        wish.os === os &&
        wish.architecture === architecture &&
        (wish.variant === undefined || wish.variant === variantOf(architecture, variant)),
    )
  }
}

function variantOf(architecture: string, variant: unknown): unknown {
  const isSaid = typeof variant === 'string' && variant !== ''
  return isSaid ? variant : DEFAULT_VARIANTS[architecture]
}

function hasPlatform(platform: Platform | null | undefined): platform is Platform {
  return typeof platform?.os === 'string' && platform.os !== ''
}
