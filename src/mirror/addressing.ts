/**
 * @module How requests name mirrored content. Three dialects, one canonical path below the mirror's
 * name, which everything behind this module sees alone:
 *
 *   /v2/docker.io/nginx/manifests/1                       path prefix (and Hub's short names)
 *   /v2/library/nginx/manifests/1?ns=docker.io            containerd, BuildKit
 *   /v2/library/nginx/manifests/1                         dockerd's registry-mirrors (`root: true`)
 *     ──► /v2/docker.io/library/nginx/manifests/1
 */
import { parseRepositoryName, type RepositoryName } from '../registry/name.ts'
import type { Mirror } from './mirror.ts'

export type Address =
  /** As it stands: local, or canonical already. */
  | { readonly kind: 'plain' }
  | { readonly kind: 'mirror'; readonly path: string; readonly mirror: Mirror }
  /** `ns` names a registry that this one does not mirror. */
  | { readonly kind: 'foreign'; readonly namespace: string }

const PLAIN: Address = { kind: 'plain' }

/** Greedy: names may hold components such as `blobs`, so the rightmost match counts. */
const PATH =
  /^\/v2\/(.+)\/((?:manifests|blobs|referrers)\/[^/]+|tags\/list|blobs\/uploads(?:\/[^/]*)?)$/

export interface AddressRequest {
  readonly method: string
  readonly path: string
  readonly query: string
  header(name: string): string | undefined
}

export class Addressing {
  readonly #byName: ReadonlyMap<string, Mirror>
  readonly #root: Mirror | undefined
  readonly #isLocal: (repository: RepositoryName) => boolean

  constructor(mirrors: readonly Mirror[], isLocal: (repository: RepositoryName) => boolean) {
    this.#byName = new Map(mirrors.map((mirror) => [mirror.name, mirror]))
    this.#root = mirrors.find(({ config }) => config.isRoot)
    this.#isLocal = isLocal
  }

  /** The mirror that a canonical repository name belongs to. */
  find(repository: string): Mirror | undefined {
    const slash = repository.indexOf('/')
    return slash === -1 ? undefined : this.#byName.get(repository.slice(0, slash))
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
    if (namespace === null || namespace === '' || namespace === request.header('host')) return PLAIN
    const match = PATH.exec(request.path)
    if (match === null) return PLAIN
    const mirror = this.#byName.get(namespace)
    if (mirror === undefined) return { kind: 'foreign', namespace }
    // A path prefix in the client's mirror URL comes with `ns` too; it is not meant twice.
    const own = `${namespace}/`
    const name = match[1]!
    return address(mirror, name.startsWith(own) ? name.slice(own.length) : name, match[2]!)
  }

  /** What a request without `ns` means, where its path is not one that was answered before. */
  resolvePath(request: AddressRequest): Address {
    const match = PATH.exec(request.path)
    if (match === null) return PLAIN
    const name = match[1]!
    const mirror = this.find(name)
    if (mirror !== undefined) return address(mirror, name.slice(mirror.name.length + 1), match[2]!)
    const root = this.#root
    // Bare paths are read through the root mirror, never written.
    if (root === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) return PLAIN
    const parsed = parseRepositoryName(name)
    if (!parsed.ok || this.#isLocal(parsed.value)) return PLAIN
    return address(root, name, match[2]!)
  }
}

function address(mirror: Mirror, upstreamName: string, tail: string): Address {
  const repository = mirror.localName(upstreamName)
  return repository === undefined
    ? PLAIN
    : { kind: 'mirror', path: `/v2/${repository}/${tail}`, mirror }
}
