/**
 * @module Sends clients of a node of a mesh to a node that has the blob which they pull, as its configuration says, and
 * takes those that others send here.
 */
import { hkdfSync } from 'node:crypto'
import { Networks } from '../../auth/networks.ts'
import { hasObject } from '../../blobs/driver.ts'
import type { Config, MeshConfig } from '../../config/config.ts'
import type { PulledBlob, Redirects } from '../../http/redirected.ts'
import type { Seals } from '../../mesh/identity/seals.ts'
import { FactsOfPeers, factsPath, factsRoute } from '../../mesh/peers/facts.ts'
import type { Peers } from '../../mesh/peers/peers.ts'
import { isLinkTo, linkMark, signLink } from '../../mesh/redirect/links.ts'
import type { CopyCare } from '../../mesh/standing/care.ts'
import { systemTime } from '../../metadata/log/etcd/time.ts'
import type { MetadataReader } from '../../metadata/port.ts'
import { systemClock } from '../../runtime/clock.ts'
import type { LifeCycle } from '../../runtime/life-cycle.ts'
import { authorityName } from './identity.ts'

/** A smaller blob is here sooner than a client has another connection, bytes. */
const redirectedBytesMin = 1024 * 1024

export interface RedirectsParts {
  readonly mesh: Pick<MeshConfig, 'advertiseUrl' | 'redirect'>
  readonly member: number
  readonly peers: Peers
  readonly care: Pick<CopyCare, 'ownersOf'>
  readonly metadata: Pick<MetadataReader, 'get'>
  /** Opens the rows of secrets. */
  readonly seals: Seals
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

  /**
   * Of the key of the authority, which was drawn when the mesh was founded: the secret of the mesh may be one that
   * everybody knows, where all nodes are on one machine.
   */
  #keyNow(): Uint8Array {
    if (this.#key !== undefined) return this.#key
    const { metadata, seals } = this.#parts
    const { bytes } = seals.open(authorityName, metadata.get('secrets', authorityName)!.sealed)
    this.#key = new Uint8Array(hkdfSync('sha256', bytes, '', 'fastregistry redirect 1', 32))
    return this.#key
  }
}

/** Peers are told where clients reach this node from now on, and clients are sent to them. */
export async function startRedirects(
  config: Pick<Config, 'mesh'>,
  parts: Omit<RedirectsParts, 'mesh'>,
  life: LifeCycle,
): Promise<Redirects> {
  const mesh = config.mesh!
  parts.peers.addRoute(
    factsPath,
    factsRoute(async () => ({ url: mesh.advertiseUrl })),
  )
  const redirects = new MeshRedirects({ ...parts, mesh })
  life.opened('redirects', redirects, (one) => one.close())
  await redirects.start()
  return redirects
}
