/**
 * @module One node of a simulated mesh that keeps files: the writer's end of the log (`Replica`) and the copies
 * (`BlobCopies`) as in the product. Its front end hears of the log late; calls of other nodes come in as messages.
 */
import { BlobCopies } from '../../../src/mesh/copies.ts'
import type { AppliedEntry } from '../../../src/metadata/entry.ts'
import { copyNewsOf } from '../../../src/metadata/log/copy-news.ts'
import { Replica } from '../../../src/metadata/log/replica.ts'
import type { Order, Settled } from '../../../src/metadata/log/sender.ts'
import type { SessionRow } from '../../../src/metadata/rows/mesh.ts'
import type { HeldCopy, Transaction } from '../../../src/metadata/transaction.ts'
import { KeyedLock } from '../../../src/runtime/keyed-lock.ts'
import type { MemoryLog } from './memory-log.ts'
import type { MemoryLogClient } from './memory-log-client.ts'
import { PinFiles } from './pin-files.ts'
import type { PinLedger } from './pin-ledger.ts'
import { SimDisk } from './sim-disk.ts'
import type { NodeRun, VirtualTime } from './virtual-time.ts'

export interface PinNetwork {
  readonly time: VirtualTime
  readonly log: MemoryLog
  readonly ledger: PinLedger
  readonly keepMs: number
  /** Entries stand in the view of a node; it is about to hear of them. */
  onApplied(node: PinNode, entries: readonly AppliedEntry[]): void
  onFault(text: string): void
}

/** What a node's own transaction came to. `unknown`: it may be applied yet. */
export type Committed = 'applied' | 'refused' | 'not done' | 'unknown'

const tickMs = 50
const commitMsMax = 600

export class PinNode {
  readonly number: number
  readonly disk = new SimDisk()
  readonly files: PinFiles
  readonly #network: PinNetwork
  readonly #offsetMs: number
  run!: NodeRun
  replica!: Replica
  copies!: BlobCopies
  log!: MemoryLogClient
  /** How long a message between its threads takes, ms, in the mean. */
  frontMs = 0.3
  #callers = new Map<number, (settled: Settled) => void>()
  #lastToFront = 0
  #isComing = false

  constructor(number: number, network: PinNetwork) {
    this.number = number
    this.#network = network
    const { time, ledger } = network
    this.#offsetMs = time.random.between(-50, 50)
    this.files = new PinFiles({
      run: () => this.run,
      stepMs: () => time.random.exponential(1),
      onDiscard: (digest, step) => ledger.onDiscard(this, digest, step),
    })
  }

  get name(): string {
    return `node ${this.number}`
  }

  start(): void {
    const { time, log, keepMs } = this.#network
    const run = time.boot(this.name, { offsetMs: this.#offsetMs })
    const { disk, number } = this
    disk.boot += 1
    this.run = run
    this.log = log.client(run)
    this.#callers = new Map()
    this.#lastToFront = 0
    this.#isComing = false
    const { boot } = disk
    const now = () => run.clock.monotonic()
    this.replica = new Replica({
      identity: 'log',
      log: this.log,
      store: disk,
      member: number,
      boot,
      now,
      listener: {
        onApplied: (entries) => this.#onApplied(entries, boot),
        onSettled: (settled) => this.#toFront(() => this.#settle(settled)),
        onCut: () => this.#network.onFault(`${this.name}: the log was cut`),
        onStuck: () => undefined,
        onRefused: () => this.#network.onFault(`${this.name} was refused`),
        onPoison: (index, error) => this.#network.onFault(`poison at ${index}: ${String(error)}`),
        onConflict: (member, index) => {
          throw new Error(`${this.name} has other rows than ${member} behind ${index}`)
        },
        onFenced: () => undefined,
        onOutdated: () => undefined,
        onGap: () => this.#network.onFault(`${this.name}: a gap`),
      },
    })
    this.copies = new BlobCopies({
      member: number,
      boot,
      now,
      keepMs,
      submit: (controls, ended) => this.#submit({ controls, transactions: [] }, ended),
      files: this.files,
      locks: new KeyedLock(),
      hasRow: (digest) => this.hasRow(digest),
      isTrash: (digest) => this.disk.get('trash', digest) !== undefined,
      onCopy: () => undefined,
      onFailure: (digest, error) => this.#network.onFault(`${digest}: ${String(error)}`),
    })
    this.replica.start()
    void this.copies.cleanUp()
    this.#comeIn()
    const tick = (): void => {
      this.replica.tick()
      this.copies.tick()
      run.at(tickMs, tick)
    }
    run.at(time.random.between(0, tickMs), tick)
  }

  /** `power`: what was not flushed is gone, of files and rows; else the process alone ends. */
  crash(power: boolean): void {
    this.run.crash()
    if (!power) return
    this.disk.losePower(this.#network.time.random.below(4))
    this.files.losePower()
  }

  hasRow(digest: string): boolean {
    return this.disk.get('blobs', digest) !== undefined
  }

  /** A copy arrives, is verified, flushed and pinned. */
  async receive(digest: string): Promise<HeldCopy> {
    const copy = await this.copies.keep(digest, () => this.files.place(digest))
    this.#network.ledger.onPin(digest, copy)
    return copy
  }

  /** What was swept is wanted back; undefined: it is not here any more. */
  async restore(digest: string): Promise<HeldCopy | undefined> {
    try {
      const copy = await this.copies.keep(digest, () => this.files.restore(digest))
      this.#network.ledger.onPin(digest, copy)
      return copy
    } catch {
      return undefined
    }
  }

  /** Another pin for the copy that is here. */
  async pinMore(digest: string): Promise<HeldCopy | undefined> {
    const copy = await this.copies.keepMore(digest)
    if (copy !== undefined) this.#network.ledger.onPin(digest, copy)
    return copy
  }

  release(copy: HeldCopy): void {
    this.#network.ledger.onEnd(copy)
    this.copies.release(copy)
  }

  commit(transaction: Transaction): Promise<Committed> {
    return new Promise((resolve) => {
      let id: number | undefined
      this.run.at(commitMsMax, () =>
        resolve(id === undefined || this.replica.withdraw(id) ? 'not done' : 'unknown'),
      )
      id = this.#submit({ controls: [], transactions: [transaction] }, ({ fate, outcomes }) => {
        if (fate !== 'applied') resolve('not done')
        else resolve(outcomes[0]!.applied ? 'applied' : 'refused')
      })
    })
  }

  /** Controls and transactions, with nothing that waits for them. */
  say(order: Order): void {
    this.#submit(order, () => undefined)
  }

  #submit(order: Order, settled: (settled: Settled) => void): number {
    const id = this.replica.submit(order)
    this.#callers.set(id, settled)
    return id
  }

  #settle(settled: Settled): void {
    const caller = this.#callers.get(settled.id)
    this.#callers.delete(settled.id)
    caller?.(settled)
  }

  #onApplied(entries: readonly AppliedEntry[], boot: number): void {
    this.#network.onApplied(this, entries)
    const news = entries.map((entry) => copyNewsOf(entry, this.number, boot))
    this.#toFront(() => {
      for (const it of news) this.copies.onNews(it)
      if (this.#isOut()) this.#comeIn()
    })
  }

  /** A new run, or one that was put out: what it sends before would be void. */
  #comeIn(): void {
    if (this.#isComing) return
    this.#isComing = true
    const present = { control: 'present', signal: 1, reads: 'barrier' } as const
    void this.#catchUp().then(() => {
      this.#submit({ controls: [present], transactions: [] }, () => {
        this.#isComing = false
        if (this.#isOut()) this.#comeIn()
      })
    })
  }

  async #catchUp(): Promise<void> {
    for (;;) {
      try {
        const head = await this.log.head()
        while (this.replica.applied < head) await this.run.sleep(20)
        return
      } catch {
        await this.run.sleep(100)
      }
    }
  }

  #isOut(): boolean {
    const session = this.disk.get('sessions', String(this.number)) as SessionRow | undefined
    return session?.boot === this.disk.boot && session.presentAt === 0
  }

  #toFront(run: () => void): void {
    const { time } = this.#network
    const at = Math.max(this.#lastToFront, time.now() + time.random.exponential(this.frontMs))
    this.#lastToFront = at
    this.run.at(at - time.now(), run)
  }
}
