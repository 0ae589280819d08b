/** @module Nodes of a cluster as their peers see them: certificates, a listener and links on 127.0.0.1. */
import { onTestFinished } from 'vitest'
import { Authority, makeMemberKey } from '../../../src/mesh/identity/authority.ts'
import { PeerClient, type PeerClientOptions } from '../../../src/mesh/peers/client.ts'
import type { Credentials } from '../../../src/mesh/peers/credentials.ts'
import { PeerLinks } from '../../../src/mesh/peers/links.ts'
import {
  PeerListener,
  type PeerListenerOptions,
  type PeerRoute,
} from '../../../src/mesh/peers/listener.ts'
import { paths } from '../../../src/mesh/peers/messages.ts'
import { systemTime } from '../../../src/metadata/log/etcd/time.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { systemRandom } from '../../../src/runtime/random.ts'

export const LOG = 'log-1'

/** Signs of life every 40 ms: a stream that is silent for 200 ms is lost. */
export const FAST = { heartbeatMs: 40, silentMs: 200 } as const

export function authorityOf(cluster = 'main', clock = systemClock): Promise<Authority> {
  return Authority.found(cluster, { clock, random: systemRandom })
}

export async function credentialsOf(authority: Authority, member: number): Promise<Credentials> {
  const { privateKey, publicKey } = makeMemberKey()
  const certificate = await authority.issue(member, publicKey)
  const { cluster } = authority
  return { cluster, member, authority: authority.certificate, certificate, privateKey }
}

export interface ListenOptions extends Partial<PeerListenerOptions> {
  readonly credentials: Credentials
  readonly faults?: unknown[]
}

/** A listener that goes with the test; faults of its own fail it unless it takes them. */
export async function listen({ faults, ...options }: ListenOptions): Promise<PeerListener> {
  const all = faults ?? []
  const listener = await PeerListener.listen(
    {
      routes: new Map(),
      log: () => LOG,
      admits: () => true,
      time: systemTime,
      onFault: (error) => all.push(error),
      ...options,
    },
    { host: '127.0.0.1', port: 0 },
  )
  onTestFinished(async () => {
    await listener.close()
    if (faults === undefined && all.length > 0) throw all[0]
  })
  return listener
}

/** A client that goes with the test. */
export function clientOf(
  credentials: Credentials,
  peer: { readonly member: number; readonly port: number },
  options: Partial<PeerClientOptions> = {},
): PeerClient {
  const client = new PeerClient({
    peer: { member: peer.member, address: `127.0.0.1:${peer.port}` },
    credentials: () => credentials,
    log: () => LOG,
    time: systemTime,
    ...options,
  })
  onTestFinished(() => client.close())
  return client
}

export interface Said {
  readonly member: number
  readonly boot: number
  readonly visible: number
}

/** A node with streams to its peers, which records what they say and how its own streams fare. */
export class LinkedNode {
  readonly credentials: Credentials
  readonly links: PeerLinks
  readonly said: Said[] = []
  readonly changes: { readonly member: number; readonly problem: string | undefined }[] = []
  #listener: PeerListener | undefined

  private constructor(credentials: Credentials) {
    this.credentials = credentials
    this.links = new PeerLinks({
      credentials: () => credentials,
      log: () => LOG,
      time: systemTime,
      random: systemRandom,
      ...FAST,
      onChange: ({ member }, error) => this.changes.push({ member, problem: error?.problem }),
    })
    this.links.onReport((member, boot, visible) => this.said.push({ member, boot, visible }))
    onTestFinished(() => this.links.close())
  }

  static async start(authority: Authority, member: number): Promise<LinkedNode> {
    const node = new LinkedNode(await credentialsOf(authority, member))
    const routes = new Map<string, PeerRoute>([[paths.stream, node.links.route]])
    node.#listener = await listen({ credentials: node.credentials, routes })
    return node
  }

  get port(): number {
    return this.#listener!.port
  }

  /** As others reach it, directly or by a proxy. */
  at(port = this.port) {
    return { member: this.credentials.member, address: `127.0.0.1:${port}` }
  }
}
