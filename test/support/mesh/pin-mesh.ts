/**
 * @module A mesh of nodes that keep files, in virtual time: uploads that land on any node, manifests, deletes,
 * sweeps without grace, and whatever can go wrong with nodes, their disks and the log, all by one seed. A pin
 * lives for seconds here instead of minutes, and pauses are longer than that.
 */
import { groupCount, ownersOf } from '../../../src/mesh/placement.ts'
import type { AppliedEntry } from '../../../src/metadata/entry.ts'
import { encodeBody, encodeEntry } from '../../../src/metadata/log/codec.ts'
import type { SessionRow } from '../../../src/metadata/rows/mesh.ts'
import type { HeldCopy } from '../../../src/metadata/transaction.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import type { LogFaults } from './log-faults.ts'
import { factsOf } from './member-facts.ts'
import { MemoryLog } from './memory-log.ts'
import { PinLedger } from './pin-ledger.ts'
import { type PinNetwork, PinNode } from './pin-node.ts'
import {
  arriveBlob,
  deleteManifest,
  digestOfText,
  manifestsIn,
  pushManifest,
  sweepOf,
  touchBlob,
} from './pin-rows.ts'
import { VirtualTime } from './virtual-time.ts'

export interface PinMeshOptions {
  readonly seed: number
  readonly durationMs?: number
  readonly log?: Partial<LogFaults>
}

const nodeCount = 4
const copiesMin = 2
const answerMsMax = 1_000
const digests = Array.from({ length: 5 }, (_, at) => digestOfText(`blob ${at}`))

export class PinMesh implements PinNetwork {
  readonly time: VirtualTime
  readonly log: MemoryLog
  readonly nodes: PinNode[] = []
  readonly ledger = new PinLedger(this.nodes, copiesMin)
  readonly keepMs = 2_000
  readonly faults: string[] = []
  readonly counts: Record<string, number> = {}
  /** Pushes that their clients were told of, with their blobs. */
  readonly acknowledged = new Map<Digest, readonly Digest[]>()
  /** What a client has asked to delete, maybe before the push was answered. */
  readonly #unwanted = new Set<Digest>()
  readonly #durationMs: number
  #names = 0
  #isOver = false

  constructor({ seed, durationMs = 10_000, log = {} }: PinMeshOptions) {
    this.#durationMs = durationMs
    this.time = new VirtualTime(seed)
    const faults = { loseReply: 0.02, late: 0.01, repeat: 0.01, loseRequest: 0.02, split: 0.3 }
    this.log = new MemoryLog(this.time, { ...faults, ...log })
  }

  onApplied(node: PinNode, entries: readonly AppliedEntry[]): void {
    this.ledger.onApplied(node, entries)
  }

  onFault(text: string): void {
    this.faults.push(text)
  }

  /** Runs it all, then lets every fault end and the nodes come to rest. */
  async play(): Promise<void> {
    await this.#found()
    for (let number = 1; number <= nodeCount; number += 1) {
      this.nodes.push(new PinNode(number, this))
    }
    for (const node of this.nodes) node.start()
    this.#each(80, (node) => this.#push(node))
    this.#each(60, (node) => this.#delete(node))
    this.#each(60, (node) => this.#sweep(node))
    this.#each(500, (node) => this.#fault(node))
    await this.time.run({ ms: this.#durationMs })
    this.#isOver = true
    this.#heal()
    await this.time.run({ ms: this.#durationMs + 15 * this.keepMs })
    // A revocation that met the end of an outage is sent again: rare, and late.
    const isAtRest = () => this.nodes.every(({ copies }) => copies.pinCount === 0)
    await this.time.run({ when: isAtRest, ms: 100 * this.keepMs })
    this.counts['swept'] = this.ledger.swept
  }

  async #found(): Promise<void> {
    const run = this.time.boot('founder')
    const controls = Array.from({ length: nodeCount }, (_, at) => ({
      control: 'member' as const,
      member: at + 1,
      facts: factsOf(`n${at + 1}`),
    }))
    const present = { control: 'present', signal: 0, reads: 'barrier' } as const
    const [body] = encodeBody({ controls: [...controls, present], transactions: [] })
    const head = { member: 1, boot: 0, seq: 1, piecesLeft: 0 }
    const log = this.log.client(run)
    const ask = (): void => {
      void log.create(encodeEntry({ ...head, body: body! })).catch(() => run.at(10, ask))
    }
    ask()
    await this.time.run({ when: () => this.log.last > 0, ms: 60_000 })
  }

  /** Again and again, on any node that lives; a client does not wait for another. */
  #each(everyMs: number, act: (node: PinNode) => void | Promise<void>): void {
    const { random } = this.time
    const next = (): void => {
      if (this.#isOver) return
      const node = random.pick(this.nodes)
      if (node.run.isAlive) void act(node)
      this.time.at(random.exponential(everyMs), next)
    }
    this.time.at(random.exponential(everyMs), next)
  }

  /** Some blobs, then the manifest that names them; what a sweep has taken meanwhile is sent again. */
  async #push(node: PinNode): Promise<void> {
    const { random } = this.time
    const children = [...new Set([random.pick(digests), random.pick(digests)])]
    this.#names += 1
    const manifest = digestOfText(`manifest ${this.#names}`)
    for (let attempt = 1; attempt <= 3 && !this.#isOver; attempt += 1) {
      for (const digest of children) {
        if (!(await this.#upload(node, digest))) return this.#count('uploads given up')
      }
      await node.run.sleep(random.exponential(20))
      const outcome = await node.commit(pushManifest(manifest, children, node.run.clock.now()))
      if (outcome === 'applied') {
        this.acknowledged.set(manifest, children)
        return this.#count('manifests')
      }
      this.#count(`manifests ${outcome}`)
      if (outcome === 'unknown') return
    }
  }

  async #upload(node: PinNode, digest: Digest): Promise<boolean> {
    const { random } = this.time
    if (node.hasRow(digest) && random.chance(0.5)) {
      const touched = await node.commit(touchBlob(digest, node.run.clock.now()))
      if (touched === 'applied') return true
    }
    const isTrash = node.disk.get('trash', digest) !== undefined
    let copies = isTrash && random.chance(0.5) ? await this.#restore(node, digest) : []
    if (copies.length >= copiesMin) this.#count('undeletes')
    else copies = [...copies, ...(await this.#send(node, digest, this.#ownersWith(node)))]
    for (let attempt = 1; attempt <= 4; attempt += 1) {
      if (copies.length < copiesMin) {
        for (const copy of copies) this.#release(node, copy)
        return false
      }
      // What a client does between its last byte and the end of the upload, or a node that is busy.
      if (random.chance(0.3)) await node.run.sleep(random.exponential(this.keepMs))
      const commit = arriveBlob(digest, copies, copiesMin, node.run.clock.now())
      const outcome = await node.commit(commit)
      this.#count(`blobs ${outcome}`)
      if (outcome === 'applied') return true
      // The client comes back later.
      if (outcome === 'unknown') await node.run.sleep(random.exponential(this.keepMs / 4))
      const before = copies
      copies = await this.#pinMore(node, digest, before)
      if (outcome !== 'unknown') for (const copy of before) this.#release(node, copy)
    }
    for (const copy of copies) this.#release(node, copy)
    return false
  }

  /** Owners of a group that has this node among the first. */
  #ownersWith(node: PinNode): number[] {
    const members = this.nodes.map(({ number }) => ({ number, weight: 1, zone: '' }))
    for (;;) {
      const owners = ownersOf(this.time.random.below(groupCount), members, nodeCount)
      if (owners.slice(0, copiesMin).includes(node.number)) return owners
    }
  }

  /** To the first owners; in the place of one that does not answer to the next. */
  async #send(node: PinNode, digest: Digest, owners: readonly number[]): Promise<HeldCopy[]> {
    const copies: HeldCopy[] = []
    let rest = owners
    while (copies.length < copiesMin && rest.length > 0) {
      const some = rest.slice(0, copiesMin - copies.length)
      rest = rest.slice(some.length)
      const answers = some.map((owner) => this.#ask(node, owner, (other) => other.receive(digest)))
      for (const copy of await Promise.all(answers)) if (copy !== undefined) copies.push(copy)
    }
    return copies
  }

  /** From every node that has it in its trash still. */
  async #restore(node: PinNode, digest: Digest): Promise<HeldCopy[]> {
    const answers = this.nodes.map(({ number }) =>
      this.#ask(node, number, (other) => other.restore(digest)),
    )
    return (await Promise.all(answers)).filter((copy) => copy !== undefined)
  }

  async #pinMore(node: PinNode, digest: Digest, before: readonly HeldCopy[]): Promise<HeldCopy[]> {
    const answers = before.map(({ member }) =>
      this.#ask(node, member, (other) => other.pinMore(digest)),
    )
    return (await Promise.all(answers)).filter((copy) => copy !== undefined)
  }

  #release(node: PinNode, copy: HeldCopy): void {
    void this.#ask(node, copy.member, async (other) => other.release(copy))
  }

  /** A call of another node. Undefined: no answer came in time; what was asked may be done all the same. */
  #ask<T>(
    from: PinNode,
    member: number,
    work: (node: PinNode) => Promise<T>,
  ): Promise<T | undefined> {
    const { random } = this.time
    const to = this.nodes[member - 1]!
    const { run } = from
    const wayMs = () => (to === from ? 0 : random.exponential(2))
    return new Promise((resolve) => {
      run.at(answerMsMax, () => resolve(undefined))
      this.time.at(wayMs(), () => {
        if (!to.run.isAlive) return
        to.run.at(0, async () => {
          const answer = await work(to)
          run.at(wayMs(), () => resolve(answer))
        })
      })
    })
  }

  #delete(node: PinNode): void {
    // Few stay, so that most blobs are of no manifest after a while.
    for (const digest of manifestsIn(node.disk)) {
      if (this.time.random.chance(0.2)) continue
      const removal = deleteManifest(node.disk, digest, node.run.clock.now())
      this.#unwanted.add(digest)
      void node.commit(removal).then((outcome) => this.#count(`deletes ${outcome}`))
    }
  }

  async #sweep(node: PinNode): Promise<void> {
    const sweep = sweepOf(node.disk, node.run.clock.now())
    await node.run.sleep(this.time.random.exponential(10))
    this.#count(`sweeps ${await node.commit(sweep)}`)
  }

  #fault(node: PinNode): void {
    const { random } = this.time
    const longMs = random.chance(0.3) ? 2 * this.keepMs : 500
    const forMs = Math.min(3 * this.keepMs, random.exponential(longMs))
    const kinds = ['pause', 'cut', 'stuck', 'slow', 'outage', 'absent'] as const
    const kind = random.chance(0.3) ? 'crash' : random.pick(kinds)
    this.#count(kind)
    this.time.note(`${kind} ${node.name} for ${forMs.toFixed(0)}`)
    switch (kind) {
      case 'pause':
        node.run.pause()
        this.time.at(forMs, () => node.run.wake())
        break
      case 'crash':
        node.crash(random.chance(0.5))
        this.ledger.onCrash(node)
        this.time.at(forMs, () => {
          node.start()
          // It has much to catch up with.
          if (random.chance(0.5)) node.log.stick(random.exponential(1_000))
        })
        break
      case 'cut':
        node.log.cut(random.chance(0.5) ? 'fails' : 'hangs')
        this.time.at(forMs, () => node.log.heal())
        break
      case 'stuck':
        node.log.stick(forMs)
        break
      case 'slow':
        node.frontMs = random.pick([5, 30, 400])
        this.time.at(forMs, () => {
          node.frontMs = 0.3
        })
        break
      case 'outage':
        this.log.setMajority(false)
        this.time.at(forMs, () => this.log.setMajority(true))
        break
      case 'absent':
        this.#putOut(node)
        break
      default:
        throw new Error(`no fault ${String(kind)}`)
    }
  }

  /** A node says of another that it was silent. */
  #putOut(node: PinNode): void {
    const member = this.time.random.pick(this.nodes).number
    const session = node.disk.get('sessions', String(member)) as SessionRow | undefined
    if (session === undefined) return
    const { boot, beat } = session
    node.say({ controls: [{ control: 'absent', member, boot, beat }], transactions: [] })
  }

  #heal(): void {
    this.log.setMajority(true)
    for (const node of this.nodes) {
      node.frontMs = 0.3
      node.run.wake()
      node.log.heal()
    }
  }

  /** Acknowledged pushes that are not whole, by the rows of a node and the files of all. */
  lostManifests(node: PinNode): string[] {
    const manifests = new Set(manifestsIn(node.disk))
    return [...this.acknowledged]
      .filter(([digest]) => !this.#unwanted.has(digest))
      .filter(([digest, children]) => !manifests.has(digest) || !children.every(this.#isHere))
      .map(([digest]) => digest)
  }

  readonly #isHere = (digest: Digest): boolean =>
    this.nodes.some(({ files, disk }) => {
      return files.isFlushed(digest) && disk.get('blobs', digest) !== undefined
    })

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
}
