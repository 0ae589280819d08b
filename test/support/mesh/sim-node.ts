/**
 * @module One node of a simulated mesh: the writer's end of the log (`Replica`) and the front end (`ServingSet`)
 * as in the product, with messages between them that take their time, and reads that show what the front end has
 * heard of. All that it keeps beyond its death is its disk.
 */

import { Leads } from '../../../src/mesh/leads.ts'
import { ServingSet } from '../../../src/mesh/serving.ts'
import type { AppliedEntry, SeenEntry } from '../../../src/metadata/entry.ts'
import { Replica } from '../../../src/metadata/log/replica.ts'
import type { Order, Settled } from '../../../src/metadata/log/sender.ts'
import type { PlaceRow, SessionRow } from '../../../src/metadata/rows/mesh.ts'
import type { DatabaseName, TagRow } from '../../../src/metadata/schema.ts'
import type { CommitOutcome, Transaction } from '../../../src/metadata/transaction.ts'
import type { MemoryLog } from './memory-log.ts'
import type { MemoryLogClient } from './memory-log-client.ts'
import { SimDisk } from './sim-disk.ts'
import type { ClockOptions, NodeRun, VirtualTime } from './virtual-time.ts'

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
  /** How wrong a node's wall clock is. */
  clockOf?(node: SimNode): ClockOptions
  /** A run of a node has begun. */
  onStarted?(node: SimNode): void
  /** A node has applied entries. */
  onApplied?(node: SimNode, entries: readonly AppliedEntry[]): void
}

interface Caller {
  readonly resolve: (settled: Settled) => void
  readonly reject: (error: Error) => void
}

/** Beside tags. */
const frontTables = ['ticks', 'jobs', 'sessions'] as const

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
  leads!: Leads
  log!: MemoryLogClient
  /** How long a message between its threads takes, ms, in the mean. */
  frontMs = 0.3
  /** What reads show. */
  #front = new Map<string, string>()
  readonly #rows = new Map<DatabaseName, ReadonlyMap<string, unknown>>()
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
    const run = time.boot(this.name, this.#network.clockOf?.(this))
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
        onApplied: (entries) => {
          this.#network.onApplied?.(this, entries)
          this.#toFront(entries)
        },
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
        onOutdated: () => undefined,
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
    this.leads = new Leads(number, (ms, late) => {
      const timer = run.at(ms, late)
      return () => timer.cancel()
    })
    this.leads.begin(boot, (controls) => {
      this.#toWriter(() => this.replica.submit({ controls, transactions: [] }))
    })
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
    this.#network.onStarted?.(this)
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
    return (await this.commit(transaction)).applied ? 'done' : 'refused'
  }

  /** Resolves when reads of all nodes show the outcome. Rejects as `push` does. */
  async commit(transaction: Transaction): Promise<CommitOutcome> {
    const settled = await this.#commit({ controls: [], transactions: [transaction] })
    if (settled.fate !== 'applied') throw new NotDone()
    const visible = this.serving.whenStable(settled.index)
    if (visible !== undefined) await visible
    return settled.outcomes[0]!
  }

  /** Rows of a table as reads show them, in the order of their keys; of `frontTables` alone. */
  rows(table: DatabaseName): ReadonlyMap<string, unknown> {
    return this.#rows.get(table) ?? new Map()
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
      this.leads.onSeen(entries.map(seen))
    })
  }

  #refresh(): void {
    this.#front.clear()
    for (const key of this.disk.firstKeys('tags', [repository]) as (readonly string[])[]) {
      this.#front.set(key[1]!, (this.disk.get('tags', key) as TagRow).digest)
    }
    for (const table of frontTables) {
      const keys = (this.disk.firstKeys(table, []) as string[]).sort(inOrder)
      this.#rows.set(table, new Map(keys.map((key) => [key, this.disk.get(table, key)])))
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

function inOrder(one: string, other: string): number {
  return one < other ? -1 : 1
}
