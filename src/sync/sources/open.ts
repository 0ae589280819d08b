/**
 * @module The source of a type: what it asks, and with which credentials.
 */
import type { SyncSourceConfig } from '../../config/config.ts'
import type { Clock } from '../../runtime/clock.ts'
import { type Credential, secretOf } from '../../upstream/tokens.ts'
import type { Upstream } from '../../upstream/upstream.ts'
import type { ListedRepository, SyncUpstream } from '../port.ts'
import type { Listing } from '../selection/repositories.ts'
import { DockerHubSource } from './docker-hub.ts'
import { FastRegistrySource, type PeerEvent } from './fastregistry.ts'
import { HarborSource } from './harbor.ts'
import { QuaySource } from './quay.ts'
import { type QuayCredentials, quayCredentials } from './quay-credentials.ts'
import { RegistrySource } from './registry.ts'

export interface SourceOptions {
  readonly config: SyncSourceConfig
  readonly listing: Listing
  readonly clock: Clock
  /** An upstream at that address, asked with that credential. */
  readonly open: (url: string, credential: Credential | undefined) => Upstream
  /** See `FastRegistrySourceOptions`. */
  readonly isEcho: (event: PeerEvent) => boolean
}

export interface OpenedSource {
  readonly source: SyncUpstream
  /** What images are copied from. */
  readonly registry: Upstream
}

export function openSource(options: SourceOptions): OpenedSource {
  const { config, open } = options
  if (config.type === 'quay') return openQuay(options)
  const credential = credentialOf(config)
  const registry = open(config.url, credential)
  return { source: sourceOf(options, registry, credential), registry }
}

function openQuay(options: SourceOptions): OpenedSource {
  const { config, listing, clock, open } = options
  const { mode, api, registry: known, oauth } = quayOf(config)
  const registry = open(config.url, known)
  // Its API lists a namespace at a time, and knows no robots.
  if (mode === 'registry' || listing.isWhole) {
    return { source: registrySource(options, registry), registry }
  }
  const source = new QuaySource({
    api: open(config.url, api),
    clock,
    host: new URL(config.url).host,
    oauth,
    organizations: namespacesOf(listing),
    repositories: listing.named,
  })
  return { source, registry }
}

function quayOf({ token, account }: SyncSourceConfig): QuayCredentials {
  const login = account && { name: account.username, secret: account.secret }
  return quayCredentials({
    token,
    robot: account?.isRobot === true ? login : undefined,
    user: account?.isRobot === false ? login : undefined,
  })
}

function sourceOf(
  options: SourceOptions,
  registry: Upstream,
  credential: Credential | undefined,
): SyncUpstream {
  const { config, listing, clock, open } = options
  const lists = {
    clock,
    organizations: namespacesOf(listing),
    repositories: listing.named,
  }
  switch (config.type) {
    case 'harbor':
      if (listing.isWhole) return registrySource(options, registry)
      return new HarborSource({ ...lists, upstream: registry, credential })
    case 'dockerhub':
      return new DockerHubSource({
        ...lists,
        api: open(config.api!, undefined),
        registry,
        login: loginOf(credential),
      })
    default:
      return registrySource(options, registry, credential)
  }
}

/** The catalog where anything has to be listed, else nothing but the names. */
function registrySource(
  { config, listing, clock, isEcho }: SourceOptions,
  upstream: Upstream,
  credential?: Credential,
): SyncUpstream {
  const { isWhole, organizations, named } = listing
  const isListed = isWhole || organizations.length > 0
  const path = new URL(config.url).pathname.replace(/^\/|\/$/g, '')
  const options = {
    upstream,
    clock,
    repositories: isListed ? undefined : named,
    organizations,
    ...(path === '' ? {} : { namePrefix: `${path}/` }),
  }
  const source =
    config.type === 'fastregistry'
      ? new FastRegistrySource({ ...options, credential, isEcho })
      : new RegistrySource(options)
  return isListed ? withNamed(source, named) : source
}

/** What is listed whole lies in a namespace, whatever more of the name is known. */
function namespacesOf({ organizations }: Listing): readonly string[] {
  return [...new Set(organizations.map((one) => one.split('/', 1)[0]!))]
}

/** A token that holds a colon is a user with a password. */
function credentialOf({ token, account }: SyncSourceConfig): Credential | undefined {
  const common = { prefix: '', tokenServer: undefined }
  if (account !== undefined) {
    return { ...common, username: account.username, secret: account.secret, isToken: false }
  }
  if (token === undefined) return undefined
  const colon = token.kind === 'text' ? token.value.indexOf(':') : -1
  if (colon < 1) return { ...common, username: undefined, secret: token, isToken: true }
  const secret = { kind: 'text', value: token.value.slice(colon + 1) } as const
  return { ...common, username: token.value.slice(0, colon), secret, isToken: false }
}

function loginOf(credential: Credential | undefined) {
  if (credential?.username === undefined) return undefined
  return { identifier: credential.username, readSecret: () => secretOf(credential) }
}

/** The source, with these as well; each name comes once. */
function withNamed(source: SyncUpstream, named: readonly string[]): SyncUpstream {
  if (named.length === 0) return source
  return {
    tellsTimes: source.tellsTimes,
    probe: (signal) => source.probe(signal),
    tags: (repository, wanted) => source.tags(repository, wanted),
    tag: (repository, tag, signal) => source.tag(repository, tag, signal),
    ...(source.changes === undefined
      ? {}
      : { changes: (cursor, signal) => source.changes!(cursor, signal) }),
    async *repositories(signal): AsyncGenerator<readonly ListedRepository[]> {
      const left = new Set(named)
      for await (const page of source.repositories(signal)) {
        for (const { name } of page) left.delete(name)
        yield page
      }
      if (left.size > 0) yield [...left].map((name) => ({ name }))
    },
  }
}
