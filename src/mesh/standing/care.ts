/**
 * @module How the copies of blobs stand, on this node and on the others: for those who look after a mesh. Nothing of it
 * is work of a request for content.
 */
import type { BlobInventory } from '../../blobs/driver.ts'
import type { Time } from '../../metadata/log/etcd/time.ts'
import type { MetadataReader } from '../../metadata/port.ts'
import { inTurns } from '../../metadata/scan.ts'
import type { BlobRow } from '../../metadata/schema.ts'
import type { Digest } from '../../registry/digest.ts'
import type { AskPeers } from '../blobs/ask.ts'
import type { CopyLedger } from '../blobs/ledger.ts'
import type { Owners } from '../blobs/owners.ts'
import { digestsMax } from '../blobs/protocol.ts'
import type { Repair } from '../blobs/repair.ts'
import { MeshError } from '../identity/problem.ts'
import type { PeerCall, PeerRoute } from '../peers/listener.ts'
import { parseJson, readBody, respondJson } from '../peers/messages.ts'
import type { MeshMember, Peers } from '../peers/peers.ts'
import { groupCount } from '../placement.ts'
import { countCopies, type SizedBlob } from './census.ts'
import type { Amount, CopyFigures, GroupFigures } from './figures.ts'
import {
  type CopyHere,
  GroupsAnswer,
  GroupsQuestion,
  Nothing,
  OneAnswer,
  OneQuestion,
  OnlyAnswer,
  onlyMs,
  questionBytesMax,
  StandingAnswer,
  shortMs,
  standingPaths,
} from './messages.ts'
import type { Traffic } from './traffic.ts'

export interface CareParts {
  readonly member: number
  readonly peers: Pick<Peers, 'members'>
  readonly metadata: MetadataReader
  readonly inventory: Pick<BlobInventory, 'stat'>
  readonly ledger: Pick<CopyLedger, 'get'>
  readonly owners: Pick<Owners, 'of' | 'ofBlob'>
  readonly ask: Pick<AskPeers, 'ask' | 'copies'>
  readonly repair: Pick<Repair, 'figures' | 'groups' | 'fetchedBytes' | 'hurry' | 'walks'>
  readonly traffic: Traffic
  readonly pins: () => number
  readonly setClosed: (isClosed: boolean) => void
  readonly time: Time
}

export class CopyCare {
  readonly traffic: Traffic
  readonly #parts: CareParts
  #isLooking = false

  constructor(parts: CareParts) {
    this.#parts = parts
    this.traffic = parts.traffic
  }

  /** Number of this node. */
  get member(): number {
    return this.#parts.member
  }

  /** All that have not left. */
  get members(): readonly MeshMember[] {
    return this.#parts.peers.members
  }

  /** Who is to have a blob that has a row. */
  ownersOf(digest: Digest, row: BlobRow): readonly number[] {
    return this.#parts.owners.ofBlob(digest, row)
  }

  /** Of this node; undefined: not known since members have changed. */
  get figures(): CopyFigures | undefined {
    return this.#parts.repair.figures
  }

  /** Promises of this node that are not over. */
  get pins(): number {
    return this.#parts.pins()
  }

  /** Bytes that the repair has fetched since the start. */
  get repairBytes(): number {
    return this.#parts.repair.fetchedBytes
  }

  /** Of any member. Rejects with a MeshError when it does not say. */
  async standingOf(member: number): Promise<StandingAnswer> {
    if (member === this.#parts.member) return { pins: this.pins, figures: this.figures ?? null }
    return this.#parts.ask.ask(member, standingPaths.standing, {}, StandingAnswer, shortMs)
  }

  /** Who is to have the blobs of a placement group. */
  ownersOfGroup(group: number): readonly number[] {
    return this.#parts.owners.of(group)
  }

  /** Figures of placement groups of any member; undefined: it does not know them yet, or does not say. */
  async groupsOf(
    member: number,
    from: number,
    count: number,
  ): Promise<readonly GroupFigures[] | undefined> {
    if (member === this.#parts.member) return this.#parts.repair.groups(from, count)
    const question = { from, count }
    const { ask } = this.#parts
    const { groups } = await ask
      .ask(member, standingPaths.groups, question, GroupsAnswer, shortMs)
      .catch(() => ({ groups: null }))
    return groups?.length === Math.min(count, groupCount - from) ? groups : undefined
  }

  /** Number of the last pass of this node that was made to its end, with all that it has found to do. */
  get passes(): number {
    return this.#parts.repair.walks
  }

  /** A pass begins on this node, or right behind the one that is under way. Returns its number. */
  repair(): number {
    return this.#parts.repair.hurry()
  }

  /** From now on no promise to keep a copy is made here any more, or they are again. */
  close(isClosed: boolean): void {
    this.#parts.setClosed(isClosed)
  }

  /** The same on all nodes: those that have begun, by number. */
  async repairAll(): Promise<readonly number[]> {
    const { member, ask } = this.#parts
    this.repair()
    const others = await Promise.all(
      this.#others.map(async (other) => {
        const answer = ask.ask(other, standingPaths.repair, {}, Nothing, shortMs)
        return (await answer.catch(() => undefined)) === undefined ? undefined : other
      }),
    )
    return [member, ...others.filter((it) => it !== undefined)].sort((a, b) => a - b)
  }

  /** The copy of a blob on this node, by a look at the disk; undefined: there is none. */
  async copyHere(digest: Digest): Promise<CopyHere | undefined> {
    const { inventory, ledger } = this.#parts
    const found = await inventory.stat(digest)
    // One of which nothing is written down was here before the node was one of several.
    return found && { role: ledger.get(digest)?.role ?? 'owner', bytes: found.sizeBytes }
  }

  /** The copy of a blob on any member. Rejects with a MeshError when it does not say. */
  async copyAt(member: number, digest: Digest): Promise<CopyHere | undefined> {
    if (member === this.#parts.member) return this.copyHere(digest)
    const { ask } = this.#parts
    const { copy } = await ask.ask(member, standingPaths.one, { digest }, OneAnswer, shortMs)
    return copy ?? undefined
  }

  /**
   * Copies here, of blobs that have a row, that no other member has, by a look at all their disks now. A member that
   * does not answer has none. `isWanted`: asked now and then. Throws a MeshError 'busy' while another look is under way.
   */
  async only(isWanted: () => boolean = () => true): Promise<Amount> {
    if (this.#isLooking) throw new MeshError('busy', 'the copies are looked at already')
    this.#isLooking = true
    try {
      return await this.#only(isWanted)
    } finally {
      this.#isLooking = false
    }
  }

  /** The same at any member. Rejects with a MeshError when it does not say in two minutes. */
  async onlyAt(member: number): Promise<Amount> {
    if (member === this.#parts.member) return this.only()
    return this.#parts.ask.ask(member, standingPaths.only, {}, OnlyAnswer, onlyMs)
  }

  /** What peers ask, by path. */
  routes(): ReadonlyMap<string, PeerRoute> {
    const route = (answer: (call: PeerCall) => Promise<object>): PeerRoute => ({
      method: 'POST',
      answer: async (call) => {
        const body = await answer(call)
        if (!call.response.destroyed) respondJson(call.response, 200, body)
      },
    })
    const nothing = async (call: PeerCall) => parseJson(await this.#bodyOf(call), Nothing)
    return new Map([
      [
        standingPaths.standing,
        route(async (call) => {
          await nothing(call)
          return { pins: this.pins, figures: this.figures ?? null }
        }),
      ],
      [
        standingPaths.repair,
        route(async (call) => {
          await nothing(call)
          this.repair()
          return {}
        }),
      ],
      [
        standingPaths.one,
        route(async (call) => {
          const { digest } = parseJson(await this.#bodyOf(call), OneQuestion)
          return { copy: (await this.copyHere(digest)) ?? null }
        }),
      ],
      [
        standingPaths.groups,
        route(async (call) => {
          const { from, count } = parseJson(await this.#bodyOf(call), GroupsQuestion)
          return { groups: this.#parts.repair.groups(from, count) ?? null }
        }),
      ],
      [
        standingPaths.only,
        route(async (call) => {
          await nothing(call)
          return this.only(() => !call.response.destroyed)
        }),
      ],
    ])
  }

  get #others(): readonly number[] {
    const { member, peers } = this.#parts
    return peers.members.map(({ number }) => number).filter((it) => it !== member)
  }

  async #only(isWanted: () => boolean): Promise<Amount> {
    const { metadata, ask } = this.#parts
    const sum = { blobs: 0, bytes: 0 }
    let some: SizedBlob[] = []
    const look = async () => {
      const copies = await countCopies(ask, this.#others, some)
      for (const { digest, size } of some) {
        if ((copies.get(digest) ?? 0) > 0) continue
        sum.blobs += 1
        sum.bytes += size
      }
      some = []
    }
    for await (const { key: digest } of inTurns(metadata, 'copies', [])) {
      if (!isWanted()) throw new MeshError('closed', 'the answer is not wanted any more')
      const row = metadata.get('blobs', digest)
      if (row === undefined) continue
      some.push({ digest, size: row.sizeBytes })
      if (some.length === digestsMax) await look()
    }
    await look()
    return sum
  }

  #bodyOf({ request }: PeerCall): Promise<Buffer> {
    const { time } = this.#parts
    return readBody(request, { bytesMax: questionBytesMax, ms: shortMs, time })
  }
}
