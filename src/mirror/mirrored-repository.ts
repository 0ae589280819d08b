/**
 * @module One repository of a mirror: our name of it and upstream's. Made once a request, where the path is
 * resolved, so that nothing behind looks up again whose it is.
 */
import type { RepositoryName } from '../registry/name.ts'
import type { Ask } from '../upstream/ask.ts'
import type { Answer } from '../upstream/client.ts'
import type { Mirror } from './mirror.ts'

export class MirroredRepository {
  readonly mirror: Mirror
  /** Its name here, which begins with the mirror's: `docker.io/library/nginx`. */
  readonly name: RepositoryName
  /** Its name there: `library/nginx`. */
  readonly upstreamName: string

  /** `name` is one of the mirror's. */
  constructor(mirror: Mirror, name: RepositoryName) {
    this.mirror = mirror
    this.name = name
    this.upstreamName = mirror.upstreamName(name)
  }

  /** Whether nothing is worth waiting for: upstream failed too often a moment ago. */
  get isShut(): boolean {
    return this.mirror.upstream.isShut(this.upstreamName)
  }

  /** `Upstream.takePass`, of this repository. */
  takePass(client: string): (() => void) | undefined {
    return this.mirror.upstream.takePass(this.upstreamName, client)
  }

  /** `Upstream.ask`, of this repository. Throws an `UpstreamError`. */
  ask(it: Omit<Ask, 'repository'>): Promise<Answer> {
    return this.mirror.upstream.ask({ ...it, repository: this.upstreamName })
  }

  /** `Upstream.fetch`, of this repository. Throws an `UpstreamError`. */
  fetch(
    it: Omit<Ask, 'repository' | 'method'>,
    bytesMax: number,
  ): Promise<Answer & { readonly bytes: Buffer }> {
    return this.mirror.upstream.fetch({ ...it, repository: this.upstreamName }, bytesMax)
  }
}
