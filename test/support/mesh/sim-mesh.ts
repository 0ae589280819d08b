/**
 * @module A mesh of some nodes in virtual time: clients that read and move tags on any of them, and whatever can
 * go wrong with nodes, their disks, the log and the ways between them, all by one seed.
 */
import { encodeBody, encodeEntry } from '../../../src/metadata/log/codec.ts'
import type { Transaction } from '../../../src/metadata/transaction.ts'
import { type LogFaults, NO_FAULTS } from './log-faults.ts'
import { factsOf } from './member-facts.ts'
import { MemoryLog } from './memory-log.ts'
import { HistoryRecorder } from './register-history.ts'
import { NotDone, repository, type SimNetwork, SimNode } from './sim-node.ts'
import { VirtualTime } from './virtual-time.ts'

export interface SimOptions {
  readonly seed: number
  readonly nodes?: number
  readonly clients?: number
  readonly durationMs?: number
  readonly reads?: 'strict' | 'barrier'
  /** Means of times between two faults, ms; 0: none. */
  readonly faultMs?: number
  readonly log?: Partial<LogFaults>
}

export interface SimResult {
  readonly history: HistoryRecorder
  readonly nodes: readonly SimNode[]
  readonly time: VirtualTime
  readonly log: MemoryLog
  readonly poison: readonly unknown[]
  readonly counts: Record<string, number>
}

const tags = ['a', 'b', 'c'] as const

export class SimMesh implements SimNetwork {
  readonly time: VirtualTime
  readonly log: MemoryLog
  readonly leaseMs = 3_000
  readonly marginMs = 500
  readonly reads: 'strict' | 'barrier'
  readonly nodes: SimNode[] = []
  readonly history = new HistoryRecorder()
  readonly poison: unknown[] = []
  readonly counts: Record<string, number> = {}
  readonly #options: Required<Omit<SimOptions, 'log'>>
  readonly #cutStreams = new Set<number>()
  #values = 0
  #isOver = false

  constructor({ log = {}, ...options }: SimOptions) {
    const defaults = {
      nodes: 3,
      clients: 6,
      durationMs: 40_000,
      reads: 'strict',
      faultMs: 1_500,
    } as const
    this.#options = { ...defaults, ...options }
    this.reads = this.#options.reads
    this.time = new VirtualTime(options.seed)
    const faults = { loseReply: 0.02, late: 0.01, repeat: 0.01, loseRequest: 0.02, split: 0.3 }
    this.log = new MemoryLog(this.time, { ...faults, ...log })
  }

  report(from: SimNode, visible: number): void {
    if (this.#cutStreams.has(from.number)) return
    const { boot } = from.disk
    for (const node of this.nodes) {
      if (node === from) continue
      this.time.at(this.time.random.exponential(0.5), () => {
        if (this.#cutStreams.has(node.number) || !node.run.isAlive) return
        node.run.at(0, () => node.serving.onReport(from.number, boot, visible))
      })
    }
  }

  onPoison(index: number, error: unknown): void {
    this.poison.push({ index, error })
  }

  /** Runs it all, then lets every fault end and the nodes come to rest. */
  async play(): Promise<SimResult> {
    const { time, log, history, nodes, poison, counts } = this
    const { durationMs } = this.#options
    await this.#found()
    for (let number = 1; number <= this.#options.nodes; number += 1) {
      nodes.push(new SimNode(number, this))
    }
    for (const node of nodes) node.start()
    for (let client = 0; client < this.#options.clients; client += 1) this.#runClient()
    if (this.#options.faultMs > 0) this.#planFault()
    await time.run({ ms: durationMs })
    this.#isOver = true
    this.#heal()
    await time.run({ ms: durationMs + 90_000 })
    return { history, nodes, time, log, poison, counts }
  }

  async #found(): Promise<void> {
    const run = this.time.boot('founder')
    const controls = Array.from({ length: this.#options.nodes }, (_, at) => ({
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
    this.#values = 0
  }

  #runClient(): void {
    const { random } = this.time
    const act = async (): Promise<void> => {
      if (this.#isOver) return
      const node = random.pick(this.nodes)
      const tag = random.pick(tags)
      if (node.run.isAlive) await this.#operate(node, tag)
      this.time.at(random.exponential(30), () => void act())
    }
    this.time.at(random.exponential(30), () => void act())
  }

  /** A client hears nothing more of a node that dies: its operation stays open, and it goes on. */
  async #operate(node: SimNode, tag: string): Promise<void> {
    const { random } = this.time
    const died = new Promise<'died'>((resolve) => {
      const { run } = node
      const look = (): void => {
        if (!run.isAlive) resolve('died')
        else if (!isEnded) this.time.at(500, look)
      }
      this.time.at(500, look)
    })
    let isEnded = false
    const operation = random.chance(0.6) ? this.#read(node, tag) : this.#write(node, tag)
    await Promise.race([operation, died])
    isEnded = true
  }

  async #read(node: SimNode, tag: string): Promise<void> {
    const open = this.history.read(tag)
    try {
      open.saw(await node.read(tag))
      this.#count('reads')
    } catch {
      this.#count('refused reads')
    }
  }

  async #write(node: SimNode, tag: string): Promise<void> {
    const { random } = this.time
    this.#values += 1
    const value = `v${this.#values}`
    const expected = random.chance(0.4) ? await this.#expected(node, tag) : null
    const open =
      expected === null
        ? this.history.change(tag, { kind: 'write', value })
        : this.history.change(tag, { kind: 'compareAndSet', expected, value })
    try {
      const outcome = await node.push(moveTag(tag, value, expected))
      open.done(outcome === 'done')
      this.#count(expected === null ? 'writes' : `compares ${outcome}`)
    } catch (error) {
      if (error instanceof NotDone) open.refused()
      this.#count(error instanceof NotDone ? 'not done' : 'unknown')
    }
  }

  /** Mostly what is there, as a client that has read it before. */
  async #expected(node: SimNode, tag: string): Promise<string | undefined> {
    const open = this.history.read(tag)
    try {
      const value = await node.read(tag)
      open.saw(value)
      return value
    } catch {
      return `v${Math.max(1, this.#values - 1)}`
    }
  }

  #planFault(): void {
    this.time.at(this.time.random.exponential(this.#options.faultMs), () => {
      if (this.#isOver) return
      this.#fault()
      this.#planFault()
    })
  }

  #fault(): void {
    const { random } = this.time
    const node = random.pick(this.nodes)
    const forMs = random.exponential(random.chance(0.3) ? 8_000 : 1_500)
    const kind = random.pick([
      'pause',
      'crash',
      'cut',
      'streams',
      'stuck',
      'slow',
      'outage',
      'disk',
    ] as const)
    this.#count(kind)
    this.time.note(`${kind} ${node.name} for ${forMs.toFixed(0)}`)
    switch (kind) {
      case 'pause':
        node.run.pause()
        this.time.at(forMs, () => node.run.wake())
        break
      case 'crash':
        if (!node.run.isAlive) break
        node.crash(random.below(4))
        this.time.at(forMs, () => {
          if (!node.run.isAlive) node.start()
        })
        break
      case 'cut':
        node.log.cut(random.chance(0.5) ? 'fails' : 'hangs')
        this.time.at(forMs, () => node.log.heal())
        break
      case 'streams':
        this.#cutStreams.add(node.number)
        this.time.at(forMs, () => this.#cutStreams.delete(node.number))
        break
      case 'stuck':
        node.log.stick(Math.min(forMs, 8_000))
        break
      case 'slow':
        node.frontMs = random.pick([5, 30, 400])
        this.time.at(forMs, () => {
          node.frontMs = 0.3
        })
        break
      case 'outage':
        this.log.setMajority(false)
        this.time.at(Math.min(forMs, 5_000), () => this.log.setMajority(true))
        break
      case 'disk':
        node.disk.failure = new Error('the disk refuses')
        this.time.at(forMs, () => {
          node.disk.failure = undefined
        })
        break
      default:
        throw new Error(`no fault ${String(kind)}`)
    }
  }

  #heal(): void {
    Object.assign(this.log.faults, NO_FAULTS)
    this.log.setMajority(true)
    this.#cutStreams.clear()
    for (const node of this.nodes) {
      node.disk.failure = undefined
      node.frontMs = 0.3
      if (!node.run.isAlive) node.start()
      node.run.wake()
      node.log.heal()
    }
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
}

/** `expected`: null for any; undefined for none. */
function moveTag(tag: string, digest: string, expected: string | null | undefined): Transaction {
  const condition =
    expected === undefined
      ? { ifMatch: undefined, ifNoneMatch: '*' }
      : { ifMatch: expected ?? undefined, ifNoneMatch: undefined }
  const change = {
    change: 'move-tag',
    in: 'tags',
    key: [repository, tag],
    digest,
    at: 1,
    by: 'c',
    isImmutable: false,
    ...(expected === null ? {} : { condition }),
  }
  return { checks: [], changes: [change] } as unknown as Transaction
}
