/**
 * @module The port of the load runner: any registry that can be started on a folder and spoken to.
 * One adapter a kind of server in `servers/`; the order here is the order of the columns.
 */
import type { Target } from './http-client.ts'

/**
 * `before`: another checkout of ours, to see what a change did. `bare`: the engine alone, see
 * `bare-server.ts`. `regsync`: a program that copies between registries.
 */
export const SERVER_NAMES = [
  'ours',
  'before',
  'docker-registry',
  'distribution',
  'zot',
  'nginx',
  'bare',
  'regsync',
] as const

export type ServerName = (typeof SERVER_NAMES)[number]

export function isOurs(name: string): boolean {
  return name === 'ours' || name === 'before'
}

export const PEER_NAMES = SERVER_NAMES.filter((name) => !isOurs(name))

export function isServerName(text: string): text is ServerName {
  return (SERVER_NAMES as readonly string[]).includes(text)
}

/** What serves ours: as it ships, or one of the two engines by name. */
export const ENGINES = ['auto', 'uws', 'node'] as const

export type EngineName = (typeof ENGINES)[number]

export interface StartOptions {
  /** A folder of its own; kept between starts when the same is given again. */
  readonly folder: string
  /** Ours only; `auto` unless said. */
  readonly engine?: EngineName
  readonly tls?: { readonly certFile: string; readonly keyFile: string }
  /** Log every request (to /dev/null); off unless said, for every server alike. */
  readonly logsAccess?: boolean
  /** Further settings as YAML (ours only). */
  readonly config?: string
  /** URL of a registry to pull through (ours: below the name `up`). */
  readonly mirrorOf?: string
  /** Write a CPU profile into this folder when the server ends (ours only). */
  readonly profileFolder?: string
  /** Ours: the clients are balancers, whose connections are not bounded for each client. */
  readonly trustsClients?: boolean
}

export interface BenchServer {
  readonly name: ServerName
  readonly target: Target
  readonly pid: number
  readonly startMs: number
  stop(): Promise<void>
}

export interface ServerKind {
  readonly name: ServerName
  /** Name and version as the server says it; undefined where it is not installed. */
  readonly version: string | undefined
  /** Why there is no version, where that is not because it is not installed. */
  readonly missing?: string
  /** Whether it takes pushes; nginx is given the files. */
  readonly isRegistry: boolean
  /** It has no store: it takes part only in rows that name it. */
  readonly isReference?: boolean
  start(options: StartOptions): Promise<BenchServer>
}

/** What the static file server serves: the same paths as a registry. */
export function staticBlobPath(folder: string, repository: string, digest: string): string {
  return `${folder}/www/v2/${repository}/blobs/${digest}`
}
