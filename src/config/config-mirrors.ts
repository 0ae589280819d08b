/**
 * @module The settings of mirrors as the program sees them: every default filled in, durations in
 * ms, sizes in bytes. What each means stands in `config/sections/mirrors.ts`.
 */

export interface MirrorConfig {
  /** First path component of its repositories. */
  readonly name: string
  /** Hosts that clients mean it by (`?ns=`), in their normal form; empty: what follows from the rest. */
  readonly hosts: readonly string[]
  /** Tried in order. A path in a URL is put before every repository's name. */
  readonly upstreams: readonly string[]
  readonly cacheTtlMs: number
  /** Whether it also answers paths without its name. */
  readonly isRoot: boolean
  /** Globs of the names that it answers so. */
  readonly rootAllow: readonly string[]
  readonly credentials: readonly MirrorCredential[]
  /** PEM file with certificates trusted beside those of Node.js. */
  readonly caFile: string | undefined
  readonly proxy: string | undefined
  readonly tags: readonly TagRule[]
  /** How long after its last check a tag may be answered while upstream fails. */
  readonly staleForMs: number
  readonly onUpstreamDelete: 'serve' | 'hide'
  readonly timeouts: MirrorTimeouts
  readonly push: 'deny' | 'allow'
  /** Globs over repository names without the mirror's own; empty: all. */
  readonly allow: readonly string[]
  readonly deny: readonly string[]
  /** Globs of repositories whose blobs are never evicted. */
  readonly pins: readonly string[]
  /** Undefined: no bound of its own. */
  readonly maxBytes: number | undefined
  readonly limits: MirrorLimits
  readonly cooldownMs: number
  /** Networks whose clients may pull without credentials. */
  readonly anonymousPull: readonly string[]
  /** Platforms (`linux/amd64`) whose manifest is fetched with its index. */
  readonly prefetch: readonly string[]
  readonly warm: MirrorWarming | undefined
}

/** Credentials for the repositories that start with `prefix`; the longest one counts. */
export interface MirrorCredential {
  readonly prefix: string
  readonly username: string | undefined
  readonly secret: { readonly kind: 'text' | 'file'; readonly value: string }
  readonly isToken: boolean
  /** URL of the token server that they go to; undefined: one of the upstream's own domain. */
  readonly tokenServer: string | undefined
}

export interface TagRule {
  readonly pattern: string
  readonly freshness: 'immutable' | 'ttl' | 'always'
}

export interface MirrorTimeouts {
  readonly connectMs: number
  readonly firstByteMs: number
  readonly stallMs: number
}

export interface MirrorLimits {
  /** Requests under way to one upstream host. */
  readonly connections: number
  /** 0: unlimited. */
  readonly bytesPerSecond: number
  readonly requestsPerSecond: number
}

export interface MirrorWarming {
  readonly schedule: string
  readonly references: readonly string[]
}
