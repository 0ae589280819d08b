/**
 * @module Mirrors at the front door: gives requests their canonical path, and answers pulls of
 * mirrored repositories. What is cached takes the same way as everything else: this only sees to it
 * that it is there and fresh. Misses are streamed while they are filled.
 */

import type { Fill } from '../../blobs/fill/fill.ts'
import type { BlobSource } from '../../blobs/port.ts'
import type { May } from '../../mirror/addressing.ts'
import { hardMs, missMs } from '../../mirror/context.ts'
import type { ManifestOutcome } from '../../mirror/manifests.ts'
import { MirroredRepository } from '../../mirror/mirrored-repository.ts'
import type { Mirrors } from '../../mirror/mirrors.ts'
import { assertNever } from '../../registry/assert-never.ts'
import { type Digest, parseDigest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/errors.ts'
import { parseRepositoryName, type RepositoryName } from '../../registry/name.ts'
import { unwrap } from '../../registry/result.ts'
import { parseTag } from '../../registry/tag.ts'
import { clientKey } from '../../runtime/client-key.ts'
import { toRegistryError } from '../../upstream/error.ts'
import type { Gate } from '../access/gate.ts'
import type { Need } from '../access/needs.ts'
import type { HttpRequest, HttpResponse } from '../engine/port.ts'
import { HeaderAdder } from '../headed-response.ts'
import type { Prepared } from '../prepared-answers.ts'
import { parsePage } from '../query.ts'
import type { Route } from '../router.ts'
import { type BlobHandlers, blobHead, sendSource } from './blobs.ts'
import { type DiscoveryHandlers, respondTags } from './discovery.ts'
import { type ManifestHandlers, parseForPull, prepareManifest, warned } from './manifests.ts'
import {
  blobAnswer,
  cacheHeader,
  inTime,
  noReferrers,
  staleAnswer,
  told,
} from './mirror-answers.ts'

const MISS = new HeaderAdder([[cacheHeader, 'miss']])
const PASSED = new HeaderAdder([[cacheHeader, 'pass']])

/** What is asked of mirrors; the rest of a repository's paths are the registry's own. */
type MirrorRoute = Extract<Route, { kind: 'manifest' | 'blob' | 'referrers' }> | TagsRoute
type TagsRoute = { readonly kind: 'tags'; readonly repository: RepositoryName }

/** A request that is a mirror's to answer: what is asked of which repository. */
export interface MirrorClaim {
  readonly route: MirrorRoute
  readonly repository: MirroredRepository
}

const ANSWERED: ReadonlySet<string> = new Set(['manifest', 'blob', 'tags', 'referrers'])

export class MirrorFront {
  readonly #mirrors: Mirrors
  readonly #manifests: ManifestHandlers
  readonly #blobs: BlobHandlers
  readonly #discovery: DiscoveryHandlers
  /** Told of every request that a mirror's settings forbid. */
  readonly #onDenied: (request: HttpRequest) => void
  readonly #namespaces = new Map<string, HeaderAdder>()

  constructor(
    mirrors: Mirrors,
    handlers: {
      readonly manifests: ManifestHandlers
      readonly blobs: BlobHandlers
      readonly discovery: DiscoveryHandlers
    },
    onDenied: (request: HttpRequest) => void,
  ) {
    this.#onDenied = onDenied
    this.#mirrors = mirrors
    this.#manifests = handlers.manifests
    this.#blobs = handlers.blobs
    this.#discovery = handlers.discovery
    for (const host of mirrors.addressing.hosts) {
      this.#namespaces.set(host, new HeaderAdder([['OCI-Namespace', host]]))
    }
  }

  /** Whether bare paths may be a mirror's. */
  get hasRoot(): boolean {
    return this.#mirrors.addressing.hasRoot
  }

  /**
   * A request with a query may name its registry (`ns`). Throws NAME_UNKNOWN for one not mirrored, to
   * those whom `requireForeign` lets pass: whoever may not know is told the same of every registry.
   */
  resolveNamespace(
    request: HttpRequest,
    response: HttpResponse,
    requireForeign: (namespace: string) => void,
  ): HttpResponse {
    if (!request.query.includes('ns=')) return response
    const address = this.#mirrors.addressing.resolveNamespace(request)
    if (address.kind === 'plain') return response
    if (address.kind === 'foreign') {
      const namespace = address.namespace.slice(0, 255)
      requireForeign(namespace)
      throw new RegistryError('NAME_UNKNOWN', {
        message: 'this registry does not mirror the one that ns names',
        detail: { ns: namespace },
      })
    }
    request.path = address.path
    return this.#namespaces.get(address.host!)!.wrap(response)
  }

  /** Whether the path has another, canonical form; then the request has it now. */
  readdress(request: HttpRequest, gate: Gate | undefined): boolean {
    const may: May =
      gate === undefined ? undefined : (action, name) => gate.may(request, action, name)
    const address = this.#mirrors.addressing.resolvePath(request, may)
    if (address.kind !== 'mirror' || address.path === request.path) return false
    request.path = address.path
    return true
  }

  /** The need of a path that may be the root mirror's as well: a token for either will do. */
  widened(need: Need | 'login', request: HttpRequest): Need | 'login' {
    if (need === 'login' || need.scope === undefined) return need
    const root = this.#mirrors.addressing.rootRepository(request)
    return root === undefined ? need : { ...need, scope: `${need.scope} repository:${root}:pull` }
  }

  /** Decides how long an answer about to be kept is good, and who is told of its pulls. */
  inspect(path: string, prepared: Prepared): boolean {
    const end = path.lastIndexOf(prepared.kind === 'blob' ? '/blobs/' : '/manifests/')
    const mirror = this.#mirrors.find(path.slice(4, end))
    if (mirror === undefined) return true
    const { digest } = prepared
    prepared.observer = this.#mirrors.eviction.observe(mirror, digest)
    if (prepared.kind === 'blob') return true
    if (!prepared.isTag) return mirror.config.cooldownMs === 0
    const tag = parseTag(path.slice(end + '/manifests/'.length))
    if (!tag.ok) return false
    const name = parseRepositoryName(path.slice(4, end))
    if (!name.ok) return false
    const repository = new MirroredRepository(mirror, name.value)
    const freshUntil = this.#mirrors.tags.freshUntil(repository, tag.value)
    prepared.validUntil = Math.min(prepared.validUntil ?? freshUntil, freshUntil)
    return prepared.validUntil > performance.now()
  }

  /**
   * The claim of a request that is a mirror's to answer; undefined for any other. Throws MIRROR_FORBIDS
   * for what its settings forbid.
   */
  claim(route: Route, request: HttpRequest): MirrorClaim | undefined {
    const { method } = request
    const repository =
      'repository' in route ? this.#mirrors.addressing.repository(route.repository) : undefined
    if (repository === undefined) return undefined
    const { mirror, name } = repository
    if (!mirror.isAllowed(repository.upstreamName)) {
      this.#onDenied(request)
      throw new RegistryError('MIRROR_FORBIDS', {
        message: `the mirror ${mirror.name} does not serve this repository`,
        detail: { repository: name },
      })
    }
    if (method !== 'GET' && method !== 'HEAD') {
      if (mirror.config.push === 'allow') return undefined
      this.#onDenied(request)
      throw new RegistryError('MIRROR_FORBIDS', {
        message: `the mirror ${mirror.name} takes no pushes and no deletes`,
        detail: { repository: name },
      })
    }
    return isAnswered(route) ? { route, repository } : undefined
  }

  /** Answers a GET or HEAD that was claimed, or refuses it in time. */
  answer(claim: MirrorClaim, request: HttpRequest, response: HttpResponse): void | Promise<void> {
    const work = this.#answer(claim, request, response)
    if (!(work instanceof Promise)) return work
    return inTime(work, request.startedAt + hardMs, claim.repository.mirror.name)
  }

  #answer(
    { route, repository }: MirrorClaim,
    request: HttpRequest,
    response: HttpResponse,
  ): void | Promise<void> {
    switch (route.kind) {
      case 'manifest':
        return this.#manifest(repository, route, request, response)
      case 'blob':
        return this.#blob(repository, unwrap(parseDigest(route.digest)), request, response)
      case 'tags':
        return this.#tags(repository, request, response)
      case 'referrers':
        return this.#referrers(repository, route, request, response)
      default:
        return assertNever(route)
    }
  }

  async #manifest(
    repository: MirroredRepository,
    route: Route & { kind: 'manifest' },
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    const { mirror } = repository
    const reference = parseForPull(route.reference)
    const isHead = request.method === 'HEAD'
    const how = { isHead, deadline: request.startedAt + missMs }
    // A policy may note who pulled it, when upstream has answered.
    request.keepAddress()
    let outcome: ManifestOutcome
    try {
      outcome = await this.#mirrors.manifest(repository, reference, how)
    } catch (error) {
      throw toRegistryError(error, mirror.name, 'MANIFEST_UNKNOWN')
    }
    switch (outcome.kind) {
      case 'local': {
        const verifying = isHead ? undefined : this.#mirrors.verify(repository, reference)
        if (verifying !== undefined) await verifying
        if (outcome.isHit) mirror.stats.hits += 1
        const { stale } = outcome
        const marked =
          stale === undefined
            ? outcome.isHit
              ? response
              : MISS.wrap(response)
            : staleAnswer({ why: stale, ageSeconds: undefined }, response)
        return this.#manifests.get(route, request, marked)
      }
      case 'head': {
        // Nothing is stored yet, so there is nothing that collection could be asked to keep.
        const { head } = outcome
        const passing = { repository: route.repository, digest: head.digest, pushedAt: 0 }
        const verdict = this.#manifests.verdictOfPassing(passing, request)
        const prepared = prepareManifest({ ...route, ...head }, verdict)
        return MISS.wrap(response).sendHead(prepared.head, prepared.sizeBytes)
      }
      case 'bytes': {
        const { bytes, digest, mediaType } = outcome.fetched
        const passing = { repository: route.repository, digest, pushedAt: 0 }
        const verdict = this.#manifests.verdictOfPassing(passing, request)
        const sizeBytes = bytes.byteLength
        const prepared = prepareManifest({ ...route, digest, mediaType, sizeBytes }, verdict)
        const passed = warned(verdict, PASSED.wrap(response))
        if (isHead) return passed.sendHead(prepared.head, prepared.sizeBytes)
        return passed.send(prepared.head, bytes)
      }
      default:
        return assertNever(outcome)
    }
  }

  #blob(
    repository: MirroredRepository,
    digest: Digest,
    request: HttpRequest,
    response: HttpResponse,
  ): void | Promise<void> {
    const { blobs } = this.#mirrors
    if (!blobs.isLocal(repository, digest)) {
      const fill = request.method === 'GET' ? blobs.openNow(repository, digest) : undefined
      if (fill === undefined) {
        return this.#missingBlob(repository, digest, request, response)
      }
      return this.#answerFill(repository, fill, request, response)
    }
    repository.mirror.stats.hits += 1
    return this.#blobs.get({ repository: repository.name, digest }, request, response)
  }

  async #missingBlob(
    repository: MirroredRepository,
    digest: Digest,
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    const { blobs } = this.#mirrors
    const { mirror, name } = repository
    const deadline = request.startedAt + missMs
    request.keepAddress()
    try {
      const isRange = request.header('range') !== undefined
      const outcome =
        request.method === 'HEAD'
          ? await blobs.head(repository, digest, deadline)
          : await blobs.open(repository, digest, { isRange, deadline })
      if (response.state !== 'open') {
        if (outcome.kind === 'pass') outcome.source.close()
        return
      }
      switch (outcome.kind) {
        case 'local':
          return await this.#blobs.get({ repository: name, digest }, request, MISS.wrap(response))
        case 'size':
          return MISS.wrap(response).sendHead(blobHead(200, digest), outcome.sizeBytes)
        case 'fill':
          return await this.#answerFill(repository, outcome.fill, request, response)
        case 'pass': {
          const { source } = outcome
          const answer = blobAnswer(name, digest, source.sizeBytes)
          // Nothing is kept, so a range is asked for anew rather than cut out of the whole.
          const explained = told(source, mirror, request)
          return sendSource(answer, PASSED.wrap(response), explained, undefined)
        }
        default:
          return assertNever(outcome)
      }
    } catch (error) {
      throw toRegistryError(error, mirror.name, 'BLOB_UNKNOWN')
    }
  }

  #answerFill(
    repository: MirroredRepository,
    fill: Fill,
    request: HttpRequest,
    response: HttpResponse,
  ): void | Promise<void> {
    const answer = blobAnswer(repository.name, fill.digest, fill.sizeBytes!)
    const marked = MISS.wrap(response)
    return this.#blobs.answerFrom(answer, request, marked, (spans) => {
      let source: BlobSource
      if (spans === undefined) source = fill.attach()
      else {
        fill.want()
        const client = clientKey(request.remoteAddress)
        const deadline = request.startedAt + missMs
        source = this.#mirrors.blobs.ranges(repository, fill, { spans, client, deadline })
      }
      sendSource(answer, marked, told(source, repository.mirror, request), spans)
    })
  }

  async #tags(
    repository: MirroredRepository,
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    const page = parsePage(request.query)
    try {
      const { lists } = this.#mirrors
      const deadline = request.startedAt + missMs
      const { stale, ...found } = await lists.tags(repository, page, deadline)
      const marked = stale === undefined ? response : staleAnswer(stale, response)
      respondTags(request, marked, repository.name, found)
    } catch (error) {
      throw toRegistryError(error, repository.mirror.name, 'NAME_UNKNOWN')
    }
  }

  async #referrers(
    repository: MirroredRepository,
    route: Route & { kind: 'referrers' },
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    const { lists } = this.#mirrors
    const { mirror } = repository
    const subject = unwrap(parseDigest(route.digest))
    const deadline = request.startedAt + missMs
    const found = await lists.referrers(repository, subject, deadline).catch((error: unknown) => {
      throw toRegistryError(error, mirror.name, 'MANIFEST_UNKNOWN')
    })
    // Not an empty list: whoever gets one believes it, and does not look at the tag.
    if (found.kind === 'none') throw noReferrers(mirror, subject)
    const { stale } = found
    const marked = stale === undefined ? response : staleAnswer(stale, response)
    await this.#discovery.referrers(route, request, marked)
  }
}

function isAnswered(route: Route): route is MirrorRoute {
  return ANSWERED.has(route.kind)
}
