/**
 * @module One node of a simulated mesh: the writer's end of the log (`Replica`) and the front end (`ServingSet`)
 * as in the product, with messages between them that take their time, and reads that show what the front end has
 * heard of. All that it keeps beyond its death is its disk.
 */

import { ServingSet } from '../../../src/mesh/serving.ts'
import type { AppliedEntry, SeenEntry } from '../../../src/metadata/entry.ts'
import { Replica } from '../../../src/metadata/log/replica.ts'
import type { Order, Settled } from '../../../src/metadata/log/sender.ts'
import type { PlaceRow, SessionRow } from '../../../src/metadata/rows/mesh.ts'
import type { TagRow } from '../../../src/metadata/schema.ts'
import type { Transaction } from '../../../src/metadata/transaction.ts'
import type { MemoryLog } from './memory-log.ts'
import type { MemoryLogClient } from './memory-log-client.ts'
import { SimDisk } from './sim-disk.ts'
import type { NodeRun, VirtualTime } from './virtual-time.ts'

export const repository = 'r'

export interface SimNetwork {
  readonly time: VirtualTime
  readonly log: MemoryLog
  readonly leaseMs: number
  readonly marginMs: number
  readonly reads: 'strict' | 'barrier'
  /** A node's word to all others. */
  report(from: SimNode, visible: number): void
  onPoison(index: number, error: unknown): void
}

interface Caller {
  readonly resolve: (settled: Settled) => void
  readonly reject: (error: Error) => void
}

const tickMs = 50
const commitMsMax = 5_000

/** Not done, and never will be. */
export class NotDone extends Error {}

export class SimNode {
  readonly number: number
  readonly disk = new SimDisk()
  readonly #network: SimNetwork
  run!: NodeRun
  replica!: Replica
  serving!: ServingSet
  log!: MemoryLogClient
  /** How long a message between its threads takes, ms, in the mean. */
  frontMs = 0.3
  /** What reads show. */
  #front = new Map<string, string>()
  #callers = new Map<number, Caller>()
  #lastToFront = 0
  gaps = 0

  constructor(number: number, network: SimNetwork) {
    this.number = number
    this.#network = network
  }

  get name(): string {
    return `node ${this.number}`
  }

  start(): void {
    const { time, log, leaseMs, marginMs, reads } = this.#network
    const run = time.boot(this.name)
    const { disk, number } = this
    disk.boot += 1
    this.run = run
    this.log = log.client(run)
    this.#callers = new Map()
    this.#front = new Map()
    this.#lastToFront = 0
    const now = () => run.clock.monotonic()
    const { boot } = disk
    this.replica = new Replica({
      log: this.log,
      identity: 'log',
      store: disk,
      member: number,
      boot,
      now,
      listener: {
        onApplied: (entries) => this.#toFront(entries),
        onSettled: (settled) => this.#toFrontInOrder(() => this.#settle(settled)),
        onCut: () => {
          throw new Error('nothing truncates the log here')
        },
        onStuck: () => undefined,
        onRefused: () => {
          throw new Error(`${this.name} was refused`)
        },
        onPoison: (index, error) => this.#network.onPoison(index, error),
        onConflict: (member, index) => {
          throw new Error(`${this.name} has other rows than ${member} behind ${index}`)
        },
        onFenced: () => undefined,
        onGap: () => {
          this.gaps += 1
        },
      },
    })
    const sessions = (disk.firstKeys('sessions', []) as string[]).map(
      (key) => [Number(key), disk.get('sessions', key) as SessionRow] as const,
    )
    this.serving = new ServingSet(
      {
        member: number,
        boot,
        reads,
        leaseMs,
        marginMs,
        now,
        submit: (controls) => {
          this.#toWriter(() => this.replica.submit({ controls, transactions: [] }))
        },
        isSilent: () => this.replica.isSilent,
        head: () => this.log.head(),
        durable: () => this.replica.durable,
        report: (visible) => this.#network.report(this, visible),
      },
      this.replica.applied,
      sessions,
    )
    this.#refresh()
    this.replica.start()
    const tick = () => {
      this.replica.tick()
      this.serving.tick()
      run.at(tickMs, tick)
    }
    run.at(time.random.between(0, tickMs), tick)
    // A commit of this node's own tables makes reads show all that is there.
    const local = () => {
      this.#toFrontInOrder(() => this.#refresh())
      run.at(time.random.exponential(40), local)
    }
    run.at(time.random.exponential(40), local)
  }

  crash(lostCommits: number): void {
    this.run.crash()
    this.disk.losePower(lostCommits)
  }

  /** What a client hears: the digest, or undefined; rejects when the node cannot say. */
  async read(tag: string): Promise<string | undefined> {
    const fresh = this.serving.fresh()
    if (fresh !== undefined) await fresh
    const digest = this.#front.get(tag)
    const settled = this.serving.settled(tag)
    if (settled !== undefined) await settled
    return digest
  }

  /** A push: the outcome as the client hears it. Rejects with NotDone, or with what leaves it unknown. */
  async push(transaction: Transaction): Promise<'done' | 'refused'> {
    const settled = await this.#commit({ controls: [], transactions: [transaction] })
    if (settled.fate !== 'applied') throw new NotDone()
    const visible = this.serving.whenStable(settled.index)
    if (visible !== undefined) await visible
    return settled.outcomes[0]!.applied ? 'done' : 'refused'
  }

  #commit(order: Order): Promise<Settled> {
    return new Promise((resolve, reject) => {
      this.#toWriter(() => {
        const id = this.replica.submit(order)
        this.#callers.set(id, { resolve, reject })
        this.run.at(commitMsMax, () => {
          const caller = this.#callers.get(id)
          if (caller === undefined) return
          this.#callers.delete(id)
          caller.reject(this.replica.withdraw(id) ? new NotDone() : new Error('unknown'))
        })
      })
    })
  }

  #settle(settled: Settled): void {
    const caller = this.#callers.get(settled.id)
    this.#callers.delete(settled.id)
    caller?.resolve(settled)
  }

  /** The front end hears of it later, and its reads show what is there by then: more, perhaps, than it has heard. */
  #toFront(entries: readonly AppliedEntry[]): void {
    this.#toFrontInOrder(() => {
      this.#refresh()
      this.serving.onSeen(entries.map(seen))
    })
  }

  #refresh(): void {
    this.#front.clear()
    for (const key of this.disk.firstKeys('tags', [repository]) as (readonly string[])[]) {
      this.#front.set(key[1]!, (this.disk.get('tags', key) as TagRow).digest)
    }
    this.serving.onShown((this.disk.get('places', 'applied') as PlaceRow | undefined)?.index ?? 0)
  }

  #toFrontInOrder(run: () => void): void {
    const { time } = this.#network
    const at = Math.max(this.#lastToFront, time.now() + time.random.exponential(this.frontMs))
    this.#lastToFront = at
    this.run.at(at - time.now(), run)
  }

  #toWriter(run: () => void): void {
    this.run.at(this.#network.time.random.exponential(0.1), run)
  }
}

function seen(entry: AppliedEntry): SeenEntry {
  const { index, member, boot, fate, done, body } = entry
  return { index, member, boot, fate, done, controls: body.controls, paths: [...tagsOf(entry)] }
}

function* tagsOf({ fate, body }: AppliedEntry): Generator<string> {
  if (fate !== 'applied') return
  for (const { changes } of body.transactions) {
    for (const change of changes) if (change.change === 'move-tag') yield change.key[1]
  }
}
