/**
 * @module How a witness becomes a member of a mesh that is there, or is about to be founded by its nodes.
 */
import { lookup } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import type { MeshConfig } from '../../../config/config.ts'
import type { KeptIdentity } from '../../../mesh/identity/kept.ts'
import { findMember } from '../../../mesh/membership/find.ts'
import { findOwnAddress } from '../../../mesh/membership/own-address.ts'
import { askToJoin } from '../../../mesh/peers/join/ask.ts'
import { knownLevel } from '../../../metadata/apply/level.ts'
import { systemTime } from '../../../metadata/log/etcd/time.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { systemRandom } from '../../../runtime/random.ts'
import { addressesOf } from '../enter.ts'
import { nodeNameOf, type OwnKeys } from '../identity.ts'

export interface WitnessJoinOptions extends OwnKeys {
  readonly mesh: MeshConfig
  /** Undefined: whichever it finds. */
  readonly cluster: string | undefined
  /** Rejects when the search is given up. */
  readonly pause: (ms: number) => Promise<void>
  readonly warn: (message: string) => void
}

/**
 * Resolves with what a member gave. A second time with the same key it is the same member, with a new certificate.
 * Rejects with a MeshError when the nodes refuse it, and with what `pause` rejects.
 */
export async function joinAsWitness(options: WitnessJoinOptions): Promise<KeptIdentity> {
  const { mesh, key, secrets, pause, warn } = options
  const own = await findOwnAddress(mesh, {
    lookup: (host) => lookup(host, { all: true }),
    interfaces: networkInterfaces,
  })
  const { advertise } = own
  const { zone } = mesh
  const { publicKey } = key
  const name = nodeNameOf(mesh)
  const seams = { clock: systemClock, random: systemRandom, time: systemTime }
  const wish = { name, advertise, zone, weight: 0, publicKey, level: knownLevel, ...seams }
  const { joined } = await findMember({
    own,
    ask: (address) =>
      askToJoin({
        ...wish,
        address,
        secrets,
        witness: true,
        claims: false,
        hasData: false,
        cluster: options.cluster,
      }),
    resolve: addressesOf,
    pause,
    warn,
  })
  const { cluster, member, log, endpoints, authority, certificate } = joined
  return { cluster, member, advertise, log, endpoints, authority, certificate, hasView: false }
}
