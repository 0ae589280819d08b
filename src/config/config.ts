/**
 * @module The configuration as the rest of the program sees it: checked, complete and frozen. A
 * field is its key in camel case, with its unit at the end of the name; what each one means, its
 * default and its bounds stand in `schema.ts`, and `load.ts` alone makes a `Config`.
 */

import type { AccessControlConfig } from './config-access.ts'
import type { CleanupConfig } from './config-cleanup.ts'
import type { MirrorConfig } from './config-mirrors.ts'

/** Where to listen. An empty host means every interface, IPv4 and IPv6; port 0 means a free one. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** Two readable PEM files. */
export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
  /** Further pairs, by the name that a client asks for. */
  readonly sni: readonly { readonly cert: string; readonly key: string }[]
}

export interface ServerConfig {
  readonly addr: ListenAddress
  /** Open to the network although nobody is asked who he is. */
  readonly isOpen: boolean
  /** Web sites whose pages may call this registry; `*` alone: all, for reading. */
  readonly corsOrigins: readonly string[]
  /** Names under which browsers reach it; empty: those that it knows of itself. */
  readonly hosts: readonly string[]
  /** A second listener with the same routes; plain HTTP unless `alsoListenTls`. */
  readonly alsoListen: ListenAddress | undefined
  readonly alsoListenTls: boolean
  readonly engine: 'auto' | 'uws' | 'node'
  /** Of the main listener; `undefined` means plain HTTP. */
  readonly tls: TlsFiles | undefined
  readonly maxConnections: number
  readonly maxUploadsPerClient: number
  /** How long a connection without a request is kept at least. */
  readonly idleTimeoutMs: number
  /** Networks whose connections begin with a PROXY protocol header. */
  readonly proxyProtocol: readonly string[]
  readonly shutdownTimeoutMs: number
}

export interface StorageConfig {
  /** Absolute. */
  readonly path: string
  readonly cacheSizeMb: number
  /** Free space below which nothing new is taken. */
  readonly reserveMb: number
  readonly inlineLimitBytes: number
  readonly durability: 'full' | 'relaxed'
  readonly uploadTtlMs: number
  readonly reader: 'auto' | 'map' | 'file'
  readonly scrub: ScrubConfig
}

export interface ScrubConfig {
  readonly enabled: boolean
  /** Five fields of a crontab line. */
  readonly schedule: string
  readonly bytesPerSecond: number
}

export interface PolicyConfig {
  readonly allowSparseIndex: boolean
  readonly allowMissingBlobs: boolean
  readonly checkSizes: boolean
  readonly delete: boolean
}

export interface WorkersConfig {
  /** 0 means one a processor core. */
  readonly ingestThreads: number
}

export interface LogConfig {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'
  readonly access: boolean
  /** One request in this many is logged; those that fail always are. */
  readonly accessSample: number
}

export interface MetricsConfig {
  readonly enabled: boolean
}

export interface Config extends AccessControlConfig {
  readonly server: ServerConfig
  readonly storage: StorageConfig
  readonly cleanup: CleanupConfig
  readonly policy: PolicyConfig
  readonly workers: WorkersConfig
  readonly log: LogConfig
  readonly metrics: MetricsConfig
  readonly mirrors: readonly MirrorConfig[]
  /** Bytes that the blobs of all mirrors may take; 0: no bound. */
  readonly mirrorMaxBytes: number
}
