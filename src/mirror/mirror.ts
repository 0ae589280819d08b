/**
 * @module One mirror: its settings compiled, its upstream, its counters. What is fetched and how it
 * is kept is the business of `tags.ts`, `blobs.ts` and `lists.ts`, which serve all mirrors.
 */
import type { MirrorConfig, TagFreshness } from '../config/config.ts'
import type { Logger } from '../observability/logger.ts'
import { FIRST_BYTE_BOUNDS } from '../observability/metrics/mirrors.ts'
import { anyGlob, type Matcher } from '../registry/glob.ts'
import { parseRepositoryName, type RepositoryName } from '../registry/name.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Accounts } from '../upstream/accounts.ts'
import { HttpClient } from '../upstream/client.ts'
import { FAILURES, type Failure } from '../upstream/error.ts'
import { Upstream } from '../upstream/upstream.ts'
import { isDockerHub } from './hosts.ts'

export interface MirrorParts {
  /** Shared with everything that asks other registries. */
  readonly accounts: Accounts
  readonly clock: Clock
  readonly logger: Logger
}

/** Refused credentials are logged once in so many ms. */
const quietMs = 60_000

export class Mirror {
  readonly config: MirrorConfig
  readonly upstream: Upstream
  readonly stats: MirrorStats
  readonly #http: HttpClient
  readonly #allow: Matcher
  readonly #deny: Matcher
  readonly #pins: Matcher
  readonly #rootNames: Matcher
  readonly #rules: readonly {
    readonly fits: Matcher
    readonly freshness: TagFreshness['freshness']
  }[]
  /** Docker Hub's official images have a short form: `nginx` is `library/nginx`. */
  readonly #isHub: boolean

  private constructor(config: MirrorConfig, http: HttpClient, parts: MirrorParts) {
    this.config = config
    this.#http = http
    const stats = new MirrorStats()
    let quietUntil = Number.NEGATIVE_INFINITY
    this.stats = stats
    const { accounts, clock, logger } = parts
    this.upstream = new Upstream({
      bases: config.upstreams,
      credentials: config.credentials,
      limits: config.limits,
      caFile: config.caFile,
      proxy: config.proxy,
      accounts,
      http,
      clock,
      random: Math.random,
      onRequest: (kind) => {
        if (kind === 'HEAD') stats.headRequests += 1
        else stats.getRequests += 1
      },
      onFailure: ({ kind, message }) => {
        stats.failures[kind] += 1
        // Only the operator can mend it, and no client knows.
        if (kind !== 'auth' || clock.monotonic() < quietUntil) return
        quietUntil = clock.monotonic() + quietMs
        logger.warn({ mirror: config.name, message }, 'credentials of a mirror are refused')
      },
      onBytes: (count) => {
        stats.upstreamBytes += count
      },
    })
    this.#allow = config.allow.length === 0 ? () => true : anyGlob(config.allow)
    this.#deny = anyGlob(config.deny)
    this.#pins = anyGlob(config.pins)
    this.#rules = config.tags.map(({ pattern, freshness }) => ({
      fits: anyGlob([pattern]),
      freshness,
    }))
    this.#rootNames = anyGlob(config.rootAllow)
    this.#isHub = isDockerHub(config)
  }

  static async open(config: MirrorConfig, parts: MirrorParts): Promise<Mirror> {
    const { caFile, proxy, timeouts } = config
    const http = await HttpClient.open({ caFile, proxy, ...timeouts })
    return new Mirror(config, http, parts)
  }

  get name(): string {
    return this.config.name
  }

  /** The upstream's name of one of our repositories (`docker.io/library/nginx` → `library/nginx`). */
  upstreamName(repository: RepositoryName): string {
    return repository.slice(this.name.length + 1)
  }

  /** Our path of an upstream repository, its short form completed; undefined for a name that cannot be. */
  localName(upstreamName: string): RepositoryName | undefined {
    const isShort = this.#isHub && !upstreamName.includes('/')
    const full = `${this.name}/${isShort ? `library/${upstreamName}` : upstreamName}`
    const parsed = parseRepositoryName(full)
    return parsed.ok ? parsed.value : undefined
  }

  /** Whether its settings let a repository be served, by upstream's name of it. */
  isAllowed(upstreamName: string): boolean {
    return this.#allow(upstreamName) && !this.#deny(upstreamName)
  }

  /** Whether a bare name may mean one of its repositories. */
  isAtRoot(upstreamName: string): boolean {
    return this.#rootNames(upstreamName)
  }

  isPinned(repository: RepositoryName): boolean {
    return this.#pins(this.upstreamName(repository))
  }

  freshnessOf(tag: string): TagFreshness['freshness'] {
    return this.#rules.find(({ fits }) => fits(tag))?.freshness ?? 'ttl'
  }

  close(): Promise<void> {
    return this.#http.close()
  }
}

/** What a mirror counts. Plain numbers: rendered only when an operator looks. */
export class MirrorStats {
  /** Pulls answered from what is stored. */
  hits = 0
  /** Pulls that went upstream. */
  misses = 0
  /** Pulls that joined somebody else's miss. */
  joined = 0
  /** Pulls answered although upstream could not be asked. */
  stale = 0
  /** Pulls refused because upstream said a moment ago that there is nothing. */
  negative = 0
  /** Answers that went through without being stored. */
  passed = 0
  /** Blobs taken out to make room, and their bytes. */
  evicted = 0
  evictedBytes = 0
  /** Manifests that nobody had used for longer than those blobs. */
  evictedManifests = 0
  headRequests = 0
  getRequests = 0
  /** Body bytes from upstream, and bytes of hits that did not have to come from there. */
  upstreamBytes = 0
  savedBytes = 0
  readonly failures: Record<Failure, number>
  readonly firstByteBuckets = new Float64Array(FIRST_BYTE_BOUNDS.length + 1)
  firstByteSeconds = 0

  constructor() {
    const zero = FAILURES.map((failure) => [failure, 0])
    this.failures = Object.fromEntries(zero) as Record<Failure, number>
  }

  firstByte(seconds: number): void {
    let bucket = 0
    while (bucket < FIRST_BYTE_BOUNDS.length && seconds > FIRST_BYTE_BOUNDS[bucket]!) bucket += 1
    this.firstByteBuckets[bucket]! += 1
    this.firstByteSeconds += seconds
  }

  /** How many first bytes took at most each bound, and how many there were. */
  firstBytesWithin(): number[] {
    let sum = 0
    return Array.from(this.firstByteBuckets, (count) => {
      sum += count
      return sum
    })
  }
}
