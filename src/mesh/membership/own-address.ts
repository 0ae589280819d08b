/**
 * @module Where the other nodes reach this one, and which of the configured peers it is itself: operators give
 * the same list to all nodes.
 */
import type { LookupAddress } from 'node:dns'
import { isIP } from 'node:net'
import type { NetworkInterfaceInfo } from 'node:os'

export const dnsWord = 'dns:'

export interface AddressParts {
  readonly lookup: (host: string) => Promise<readonly LookupAddress[]>
  readonly interfaces: () => NodeJS.Dict<NetworkInterfaceInfo[]>
}

export interface OwnAddressOptions {
  /** As configured; an empty host stands for all of this machine. */
  readonly bind: { readonly host: string; readonly port: number }
  /** `mesh.advertise`: `host:port`, or empty. */
  readonly advertise: string
  /** `mesh.peers`. */
  readonly peers: readonly string[]
}

export interface OwnAddress {
  /** `host:port`. */
  readonly advertise: string
  /** The others of the list, without `dns:` entries: with this node, those that found a mesh. */
  readonly others: readonly string[]
  /** `name:port` of the `dns:` entries. */
  readonly names: readonly string[]
}

/**
 * Never rejects: a name that cannot be resolved now is another node's. A peer is this node itself when it is what
 * `advertise` says, or has the port of `bind` and an address of this machine.
 */
export async function findOwnAddress(
  { bind, advertise, peers }: OwnAddressOptions,
  { lookup, interfaces }: AddressParts,
): Promise<OwnAddress> {
  const names = peers.flatMap((it) => (it.startsWith(dnsWord) ? [it.slice(dnsWord.length)] : []))
  const listed = [...new Set(peers.filter((it) => !it.startsWith(dnsWord)))]
  const own = Object.values(interfaces()).flatMap((infos) => infos ?? [])
  const here = new Set(own.map(({ address }) => address))
  const isSelf = async (peer: string): Promise<boolean> => {
    const { host, port } = splitAddress(peer)
    if (port !== bind.port) return false
    const found = isIP(host) === 0 ? await lookup(host).catch(() => []) : [{ address: host }]
    return found.some(({ address }) => here.has(address))
  }
  const selves: string[] = []
  if (advertise === '') for (const peer of listed) if (await isSelf(peer)) selves.push(peer)
  const said =
    advertise === '' ? (selves[0] ?? joinAddress(hostOf(bind.host, own), bind.port)) : advertise
  const others = listed.filter((peer) => peer !== said && !selves.includes(peer))
  return { advertise: said, others, names }
}

function hostOf(bind: string, own: readonly NetworkInterfaceInfo[]): string {
  if (bind !== '' && bind !== '0.0.0.0' && bind !== '::') return bind
  const outside = own.filter(({ internal }) => !internal)
  const first = outside.find(({ family }) => family === 'IPv4') ?? outside[0]
  return first?.address ?? '127.0.0.1'
}

/** Host without brackets, and port, of `host:port`. */
export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, colon)
  const isBracketed = host.startsWith('[') && host.endsWith(']')
  return { host: isBracketed ? host.slice(1, -1) : host, port: Number(address.slice(colon + 1)) }
}

export function joinAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** The address whose port is higher by so many: etcd has the next two. */
export function portAfter(address: string, by: number): string {
  const { host, port } = splitAddress(address)
  return joinAddress(host, port + by)
}

/** URL for the peers of the member of etcd on the node that is reached at an address. */
export function etcdPeerUrl(address: string): string {
  return `https://${portAfter(address, 1)}`
}
