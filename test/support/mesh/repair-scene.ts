/** @module A repair of copies on a node of a mesh: rows, a clock and peers of a test. */
import { CopyLedger } from '../../../src/mesh/blobs/ledger.ts'
import { Owners } from '../../../src/mesh/blobs/owners.ts'
import type { CopyIs } from '../../../src/mesh/blobs/proofs.ts'
import { Repair } from '../../../src/mesh/blobs/repair.ts'
import { MeshError } from '../../../src/mesh/identity/problem.ts'
import type { MeshMember } from '../../../src/mesh/peers/peers.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { digestOf } from '../../../src/registry/hasher.ts'
import { FakeClock } from '../fake-clock.ts'
import { MemoryMetadataStore } from '../memory/memory-metadata.ts'
import { factsOf } from './member-facts.ts'

/** Active ones, from 1 on. */
export function membersOf(count: number): MeshMember[] {
  return Array.from({ length: count }, (_, at) => {
    return { number: at + 1, ...factsOf(`n${at + 1}`), state: 'active' as const }
  })
}

/** Node 1 of two or three; a blob has ten bytes. */
export class RepairScene {
  readonly metadata = new MemoryMetadataStore()
  readonly clock = new FakeClock()
  readonly ledger = new CopyLedger(this.metadata, this.clock)
  readonly files = new Set<Digest>()
  readonly fetched: Digest[] = []
  /** Copies that the others have. */
  readonly others = new Set<Digest>()
  /** Copies that one of them alone has. */
  readonly single = new Set<Digest>()
  /** Blobs that no member gives. */
  readonly refused = new Set<Digest>()
  /** What they have read of it, where that is no right copy of theirs; undefined: they do not say. */
  readonly found = new Map<Digest, CopyIs | undefined>()
  readonly proven: string[] = []
  onFetch: () => void = () => undefined
  onProof: () => Promise<void> | void = () => undefined
  asked = 0
  handedOver = 0
  members = membersOf(2)
  readonly owners = new Owners({
    self: 1,
    members: () => this.members,
    present: () => [2, 3],
    replicationFactor: () => 2,
  })
  readonly repair = new Repair({
    metadata: this.metadata,
    owners: this.owners,
    ledger: this.ledger,
    clock: this.clock,
    inventory: {
      stat: async (digest) =>
        this.files.has(digest) ? { sizeBytes: 10, version: '1' } : undefined,
    },
    ask: {
      copies: async (member, { blobs }) => {
        this.asked += 1
        const has = (digest: Digest) =>
          this.others.has(digest) || (member === 2 && this.single.has(digest))
        return blobs.map(({ digest }) => has(digest))
      },
      prove: async (member, digest) => {
        this.proven.push(`${member} ${digest}`)
        await this.onProof()
        const is = this.found.has(digest) ? this.found.get(digest) : 'owner'
        if (is === undefined) throw new MeshError('silent', 'the peer does not answer')
        return is
      },
    },
    fetch: async (digest) => {
      this.fetched.push(digest)
      this.onFetch()
      await new Promise(setImmediate)
      if (this.refused.has(digest)) return false
      this.files.add(digest)
      await this.ledger.put(digest, 10, 'owner')
      return true
    },
    onHandedOver: () => {
      this.handedOver += 1
    },
    onError: (error) => {
      throw error
    },
  })

  /** A blob of a group, with its file here or not. */
  async add(name: string, group: number, isHere: boolean): Promise<Digest> {
    const digest = digestOf('sha256', Buffer.from(name))
    const row = { sizeBytes: 10, place: 'file', createdAt: 1, linkedAt: 1, group } as const
    await this.metadata.commit({
      checks: [],
      changes: [{ change: 'put', in: 'blobs', key: digest, row }],
    })
    if (!isHere) return digest
    this.files.add(digest)
    await this.ledger.put(digest, 10, 'owner')
    return digest
  }

  /** A group that this node owns or not, with three members. */
  groupOf(isOwn: boolean): number {
    const all = this.members
    this.members = membersOf(3)
    let group = 0
    while (this.owners.of(group).includes(1) !== isOwn) group += 1
    this.members = all
    return group
  }

  async tick(): Promise<void> {
    this.repair.tick()
    await this.repair.stopped
  }
}
