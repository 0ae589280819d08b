/**
 * @module Sends clients of a node of a mesh to a node that has the blob which they pull, as its configuration says, and
 * takes those that others send here.
 */
import { Networks } from '../../auth/networks.ts'
import { hasObject } from '../../blobs/driver.ts'
import type { MeshConfig } from '../../config/config.ts'
import type { PulledBlob, Redirects } from '../../http/redirected.ts'
import { FactsOfPeers } from '../../mesh/peers/facts.ts'
import type { Peers } from '../../mesh/peers/peers.ts'
import { isLinkTo, linkMark, signLink } from '../../mesh/redirect/links.ts'
import type { CopyCare } from '../../mesh/standing/care.ts'
import { systemTime } from '../../metadata/log/etcd/time.ts'
import type { MetadataReader } from '../../metadata/port.ts'
import { systemClock } from '../../runtime/clock.ts'

/** A smaller blob is here sooner than a client has another connection, bytes. */
const redirectedBytesMin = 1024 * 1024

export interface RedirectsParts {
  readonly mesh: Pick<MeshConfig, 'advertiseUrl' | 'redirect'>
  readonly member: number
  readonly peers: Peers
  readonly care: Pick<CopyCare, 'ownersOf'>
  readonly metadata: Pick<MetadataReader, 'get'>
  /** With which links are signed: only the nodes have it. */
  readonly key: () => Uint8Array
}

export class MeshRedirects implements Redirects {
  readonly mark = linkMark
  readonly isOn: boolean
  readonly #parts: RedirectsParts
  readonly #clients: Networks
  readonly #facts: FactsOfPeers
  #key: Uint8Array | undefined
  #turn = 0

  constructor(parts: RedirectsParts) {
    this.#parts = parts
    this.#clients = new Networks(parts.mesh.redirect)
    this.isOn = !this.#clients.isEmpty
    this.#facts = new FactsOfPeers(parts.peers, systemTime)
  }

  /** Asks the others where clients reach them, from now on. */
  async start(): Promise<void> {
    if (this.isOn) await this.#facts.start()
  }

  close(): void {
    this.#facts.close()
  }

  locationOf(client: string, blob: PulledBlob): string | undefined {
    const { repository, digest, sizeBytes } = blob
    if (sizeBytes < redirectedBytesMin || !this.#clients.includes(client)) return undefined
    const { metadata, care, peers } = this.#parts
    const row = metadata.get('blobs', digest)
    if (row === undefined || !hasObject(row)) return undefined
    if (metadata.get('copies', digest) !== undefined) return undefined
    const owners = care.ownersOf(digest, row)
    const reached = peers.links.open
    const able = owners.flatMap((other) => {
      const url = this.#facts.known.get(other)?.url ?? ''
      return url === '' || !reached.includes(other) ? [] : [{ other, url }]
    })
    if (able.length === 0) return undefined
    this.#turn += 1
    const { other, url } = able[this.#turn % able.length]!
    const query = signLink(this.#keyNow(), { member: other, repository, digest }, systemClock.now())
    return `${url}/v2/${repository}/blobs/${digest}?${query}`
  }

  admits(query: string, blob: Pick<PulledBlob, 'repository' | 'digest'>): boolean {
    const { repository, digest } = blob
    const target = { member: this.#parts.member, repository, digest }
    return isLinkTo(this.#keyNow(), target, query, systemClock.now())
  }

  #keyNow(): Uint8Array {
    this.#key ??= this.#parts.key()
    return this.#key
  }
}
