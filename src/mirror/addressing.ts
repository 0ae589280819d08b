/**
 * @module How requests name mirrored content. Three dialects, one canonical path below the mirror's
 * name, which everything behind this module sees alone:
 *
 *   /v2/docker.io/nginx/manifests/1                       path prefix (and Hub's short names)
 *   /v2/library/nginx/manifests/1?ns=docker.io            containerd, BuildKit
 *   /v2/library/nginx/manifests/1                         dockerd's registry-mirrors (`root: true`)
 *     ──► /v2/docker.io/library/nginx/manifests/1
 *
 * A bare path may mean a local repository or the root mirror's. Who asks decides, before what is there
 * does: whoever may push to the local name is answered for it, whoever may know the mirror alone is
 * never told whether there is a local one, and whoever may know neither is refused as ever.
 */
import { normalHost } from '../registry/host.ts'
import { parseRepositoryName, type RepositoryName } from '../registry/name.ts'
import { byHost } from './hosts.ts'
import type { Mirror } from './mirror.ts'
import { MirroredRepository } from './mirrored-repository.ts'

export type Address =
  /** As it stands: local, or canonical already. */
  | { readonly kind: 'plain' }
  | {
      readonly kind: 'mirror'
      readonly path: string
      readonly repository: RepositoryName
      readonly mirror: Mirror
      /** The host that `ns` named, in its one form. */
      readonly host?: string
    }
  /** `ns` names a registry that this one does not mirror. */
  | { readonly kind: 'foreign'; readonly namespace: string }

/** What the caller of a request may; undefined where everybody may everything. */
export type May = ((action: 'pull' | 'push' | 'list', repository: string) => boolean) | undefined

export interface LocalState {
  /** Whether the repository exists here. */
  readonly isLocal: (repository: RepositoryName) => boolean
  /** Whether somebody is pushing to it now. */
  readonly isPushedTo: (repository: RepositoryName) => boolean
}

const PLAIN: Address = { kind: 'plain' }

const ROOT = '/v2/'
const BY_REFERENCE: ReadonlySet<string> = new Set(['manifests', 'blobs', 'referrers'])

/**
 * The repository in a path, and what follows it; undefined for any other path. Read from the right: names
 * may hold components such as `blobs`.
 */
function splitPath(path: string): { readonly name: string; readonly tail: string } | undefined {
  const last = path.lastIndexOf('/')
  const before = path.lastIndexOf('/', last - 1)
  const [word, end] = [path.slice(before + 1, last), path.slice(last + 1)]
  const isPair = (BY_REFERENCE.has(word) && end !== '') || (word === 'tags' && end === 'list')
  const isSession = word === 'uploads' && path.slice(0, before).endsWith('/blobs')
  if (!path.startsWith(ROOT) || !(isPair || isSession)) return undefined
  const tailAt = isPair ? before : before - '/blobs'.length
  const name = path.slice(ROOT.length, Math.max(ROOT.length, tailAt))
  return name === '' ? undefined : { name, tail: path.slice(tailAt + 1) }
}

export interface AddressRequest {
  readonly method: string
  readonly path: string
  readonly query: string
  header(name: string): string | undefined
}

export class Addressing {
  readonly #byName: ReadonlyMap<string, Mirror>
  readonly #byHost: ReadonlyMap<string, Mirror>
  readonly #root: Mirror | undefined
  readonly #local: LocalState

  constructor(mirrors: readonly Mirror[], local: LocalState) {
    this.#byName = new Map(mirrors.map((mirror) => [mirror.name, mirror]))
    this.#byHost = byHost(mirrors)
    this.#root = mirrors.find(({ config }) => config.isRoot)
    this.#local = local
  }

  get hasRoot(): boolean {
    return this.#root !== undefined
  }

  /** Every host that a mirror stands for. */
  get hosts(): IterableIterator<string> {
    return this.#byHost.keys()
  }

  /** The mirror that a canonical repository name belongs to. */
  find(repository: string): Mirror | undefined {
    const slash = repository.indexOf('/')
    return slash === -1 ? undefined : this.#byName.get(repository.slice(0, slash))
  }

  /** The mirrored repository of a canonical name; undefined for a local one. */
  repository(name: RepositoryName): MirroredRepository | undefined {
    const mirror = this.find(name)
    return mirror === undefined ? undefined : new MirroredRepository(mirror, name)
  }

  get(name: string): Mirror | undefined {
    return this.#byName.get(name)
  }

  get all(): Mirror[] {
    return [...this.#byName.values()]
  }

  /** What a request with `ns` in its query means. */
  resolveNamespace(request: AddressRequest): Address {
    const namespace = new URLSearchParams(request.query).get('ns')
    if (namespace === null || namespace === '') return PLAIN
    const split = splitPath(request.path)
    if (split === undefined) return PLAIN
    const host = normalHost(namespace)
    if (host !== undefined && host === normalHost(request.header('host') ?? '')) return PLAIN
    const mirror = host === undefined ? undefined : this.#byHost.get(host)
    if (host === undefined || mirror === undefined) return { kind: 'foreign', namespace }
    // A path prefix in the client's mirror URL comes with `ns` too; it is not meant twice.
    const own = `${mirror.name}/`
    const { name, tail } = split
    const found = address(mirror, name.startsWith(own) ? name.slice(own.length) : name, tail)
    return found.kind === 'mirror' ? { ...found, host } : found
  }

  /** What a request without `ns` means, where its path is not one that was answered before. */
  resolvePath(request: AddressRequest, may: May): Address {
    const split = splitPath(request.path)
    if (split === undefined) return PLAIN
    const { name, tail } = split
    const mirror = this.find(name)
    if (mirror !== undefined) return address(mirror, name.slice(mirror.name.length + 1), tail)
    const root = this.#atRoot(request.method, name, tail)
    if (root === undefined) return PLAIN
    return this.#isForRoot(root, tail, may) ? root.address : PLAIN
  }

  /** What else a bare path may mean, for the scope of a challenge; whether or not it does. */
  rootRepository({ method, path }: Pick<AddressRequest, 'method' | 'path'>): string | undefined {
    if (this.#root === undefined) return undefined
    const split = splitPath(path)
    if (split === undefined || this.find(split.name) !== undefined) return undefined
    return this.#atRoot(method, split.name, split.tail)?.address.repository
  }

  /** Bare paths are read through the root mirror, never written, and those of its list alone. */
  #atRoot(method: string, name: string, tail: string): AtRoot | undefined {
    const root = this.#root
    if (root === undefined || (method !== 'GET' && method !== 'HEAD')) return undefined
    if (tail.startsWith('blobs/uploads') || !root.isAtRoot(name)) return undefined
    const local = parseRepositoryName(name)
    const found = address(root, name, tail)
    if (!local.ok || found.kind !== 'mirror') return undefined
    return { local: local.value, address: found }
  }

  #isForRoot({ local, address: { repository } }: AtRoot, tail: string, may: May): boolean {
    const { isLocal, isPushedTo } = this.#local
    const isHere = () => isLocal(local) || (tail.startsWith('blobs/') && isPushedTo(local))
    if (may === undefined) return !isHere()
    const action = tail === 'tags/list' ? 'list' : 'pull'
    if (may('push', local) || !may(action, repository)) return false
    return !may(action, local) || !isHere()
  }
}

type MirrorAddress = Extract<Address, { kind: 'mirror' }>

interface AtRoot {
  readonly local: RepositoryName
  readonly address: MirrorAddress
}

function address(mirror: Mirror, upstreamName: string, tail: string): Address {
  const repository = mirror.localName(upstreamName)
  return repository === undefined
    ? PLAIN
    : { kind: 'mirror', path: `/v2/${repository}/${tail}`, repository, mirror }
}
