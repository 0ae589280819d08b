/**
 * @module The other members of this node's mesh, as its parts use them: who they are, how each is asked, and the
 * paths under which this node answers them.
 */
import type { Time } from '../../metadata/log/etcd/time.ts'
import type { MemberFacts, MemberState } from '../../metadata/rows/mesh.ts'
import type { Random } from '../../runtime/random.ts'
import { MeshError } from '../identity/problem.ts'
import { PeerClient } from './client.ts'
import type { Credentials } from './credentials.ts'
import { PeerLinks } from './links.ts'
import type { PeerRoute, PeerRoutes } from './listener.ts'
import { paths } from './messages.ts'

/** Questions to one peer at once, and copies. Others wait for a free place. */
const connectionsMax = 64

/** A member that has not left. */
export interface MeshMember extends MemberFacts {
  readonly number: number
  readonly state: MemberState
}

export interface PeersParts {
  readonly credentials: () => Credentials
  /** Identity of the log that this node follows; undefined: it does not know it yet. */
  readonly log: () => string | undefined
  readonly time: Time
  readonly random: Random
  /** Whether streams are taken from members that this node does not know: it knows none. Default: no. */
  readonly hearsAll?: boolean
  /** The stream to a peer was opened (undefined), or ended with this. */
  readonly onLink?: (member: number, error: MeshError | undefined) => void
}

export class Peers {
  readonly links: PeerLinks
  readonly #parts: PeersParts
  readonly #routes = new Map<string, PeerRoute>()
  /** By member and by how many connections each may have. */
  readonly #clients = new Map<string, PeerClient>()
  #members: readonly MeshMember[] = []
  /** Those that only vote are peers as well: they may ask, and are kept in touch with. */
  #admitted: ReadonlySet<number> = new Set()

  constructor(parts: PeersParts) {
    this.#parts = parts
    this.links = new PeerLinks({
      ...parts,
      onChange: ({ member }, error) => parts.onLink?.(member, error),
    })
    this.addRoute(paths.stream, this.links.route)
  }

  /** Number of this node. */
  get member(): number {
    return this.#parts.credentials().member
  }

  /** All that have rows and have not left, this one among them, by number. */
  get members(): readonly MeshMember[] {
    return this.#members
  }

  /** For the listener: it may be asked before the last route was added. */
  get routes(): PeerRoutes {
    return this.#routes
  }

  /** Throws a RangeError when there is one. */
  addRoute(path: string, route: PeerRoute): void {
    if (this.#routes.has(path)) throw new RangeError(`two routes for ${path}`)
    this.#routes.set(path, route)
  }

  /** Takes a route away: what is under way goes on. */
  dropRoute(path: string): void {
    this.#routes.delete(path)
  }

  /** Whether it is a member that has not left. */
  admits(member: number): boolean {
    return this.#admitted.has(member)
  }

  /**
   * How a member is asked. Throws a MeshError 'silent' for one that has left or is none. `connections`: requests at
   * once; those of another number have connections of their own.
   */
  client(member: number, connections = connectionsMax): PeerClient {
    const found = this.#members.find(({ number }) => number === member)
    if (found === undefined) throw new MeshError('silent', `there is no member ${member}`)
    const key = `${member} ${connections}`
    const known = this.#clients.get(key)
    if (known?.peer.address === found.address) return known
    known?.close()
    const { credentials, log, time } = this.#parts
    const peer = { member, address: found.address }
    const client = new PeerClient({ peer, credentials, log, time, connectionsMax: connections })
    this.#clients.set(key, client)
    return client
  }

  /** From now on these are the members: streams to them are kept open, those to others end. */
  setMembers(members: readonly MeshMember[]): void {
    const peers = members.filter(({ state }) => state !== 'left')
    this.#members = peers.filter(({ state }) => state !== 'witness')
    this.#admitted = new Set(peers.map(({ number }) => number))
    for (const [key, client] of [...this.#clients]) {
      if (this.admits(client.peer.member)) continue
      client.close()
      this.#clients.delete(key)
    }
    this.links.setPeers(peers.map(({ number, address }) => ({ member: number, address })))
  }

  /** Ends all streams and connections. */
  close(): void {
    this.links.close()
    for (const client of this.#clients.values()) client.close()
    this.#clients.clear()
  }
}
