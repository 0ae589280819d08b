/**
 * @module What this node says of itself to its peers, and what they say: where clients reach each, and whether all were
 * given the same by their operators.
 */
import type { Config } from '../../config/config.ts'
import type { Redirects } from '../../http/redirected.ts'
import type { Seals } from '../../mesh/identity/seals.ts'
import { factsOf, factsPath, factsRoute, type NodeFacts } from '../../mesh/peers/facts.ts'
import type { Peers } from '../../mesh/peers/peers.ts'
import type { CopyCare } from '../../mesh/standing/care.ts'
import { systemTime } from '../../metadata/log/etcd/time.ts'
import type { MetadataReader } from '../../metadata/port.ts'
import type { LifeCycle } from '../../runtime/life-cycle.ts'
import { Alike, partsOf } from './alike.ts'
import { keyOfCluster } from './identity.ts'
import { MeshRedirects } from './redirects.ts'

export interface FactsParts {
  readonly member: number
  readonly peers: Peers
  readonly care: Pick<CopyCare, 'ownersOf'>
  readonly metadata: Pick<MetadataReader, 'get'>
  /** Opens the rows of secrets. */
  readonly seals: Seals
}

/** What members say of themselves. Rejects with a MeshError when one does not. */
export type AskFacts = (member: number) => Promise<NodeFacts>

export interface Facts {
  readonly factsOf: AskFacts
  readonly redirects: Redirects
}

/** Peers are answered from now on, and clients are sent to them where the configuration says so. */
export async function startFacts(
  config: Config,
  parts: FactsParts,
  life: LifeCycle,
): Promise<Facts> {
  const { member, peers, metadata, seals } = parts
  const mesh = config.mesh!
  const alike = new Alike(partsOf(config), () => keyOfCluster(metadata, seals, 'alike 1'))
  const own = async (): Promise<NodeFacts> => {
    return { url: mesh.advertiseUrl, alike: await alike.hashes() }
  }
  peers.addRoute(factsPath, factsRoute(own))
  const key = () => keyOfCluster(metadata, seals, 'redirect 1')
  const redirects = new MeshRedirects({ ...parts, mesh, key })
  life.opened('redirects', redirects, (one) => one.close())
  await redirects.start()
  return {
    redirects,
    factsOf: (other) => (other === member ? own() : factsOf(peers, other, systemTime)),
  }
}
