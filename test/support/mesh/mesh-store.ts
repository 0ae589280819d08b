/**
 * @module Nodes of a mesh as far as their rows go, in one process: real LMDB, real threads that write, a real log.
 * Their words to each other are calls.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RoomState } from '../../../src/mesh/room.ts'
import type { ServingSet } from '../../../src/mesh/serving.ts'
import { startServing } from '../../../src/mesh/start-serving.ts'
import { LmdbEnvironment } from '../../../src/metadata/lmdb/environment.ts'
import { LogCommits, type RunOfLog } from '../../../src/metadata/lmdb/log-commits.ts'
import type { ReadTail } from '../../../src/metadata/lmdb/log-tail.ts'
import { LmdbMetadataStore } from '../../../src/metadata/lmdb/store.ts'
import type { LogFault, LogSettings } from '../../../src/metadata/lmdb/worker/messages.ts'
import { encodeBody, encodeEntry } from '../../../src/metadata/log/codec.ts'
import { EtcdLog } from '../../../src/metadata/log/etcd/log.ts'
import type { LogEntry } from '../../../src/metadata/log/port.ts'
import { DATABASES, type DatabaseName } from '../../../src/metadata/schema.ts'
import type { Transaction } from '../../../src/metadata/transaction.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { WorkerPool } from '../../../src/runtime/worker-pool.ts'
import { factsOf } from './member-facts.ts'

/** As many as an entry of a node has at most. */
const seedsPerEntry = 250

/**
 * Creates the log with so many members; `addresses`: where they are reached, if they are. With a number of files of a
 * blob where that is given, and with what is there from the beginning.
 */
export async function foundLog(
  settings: LogSettings,
  members: number,
  addresses: readonly string[] = [],
  replicationFactor?: number,
  seeds: readonly Transaction[] = [],
): Promise<void> {
  const controls = Array.from({ length: members }, (_, at) => ({
    control: 'member' as const,
    member: at + 1,
    facts: factsOf(`n${at + 1}`, addresses[at]),
  }))
  const present = { control: 'present', signal: 0, reads: 'barrier' } as const
  const row = replicationFactor === undefined ? undefined : { replicationFactor }
  const put = row && ({ change: 'put', in: 'cluster', key: 'settings', row } as const)
  const transactions = put === undefined ? [] : [{ checks: [], changes: [put] }]
  const [body] = encodeBody({ controls: [...controls, present], transactions })
  const log = new EtcdLog(settings)
  const head = { member: 1, boot: 0, seq: 1, piecesLeft: 0 }
  if (!(await log.create(encodeEntry({ ...head, body: body! })))) throw new Error('there is one')
  for (let at = 0; at < seeds.length; at += seedsPerEntry) {
    const some = seeds.slice(at, at + seedsPerEntry)
    const [seeded] = encodeBody({ controls: [], transactions: some })
    const seq = 2 + at / seedsPerEntry
    await log.append(encodeEntry({ ...head, seq, body: seeded! }))
  }
  await log.close()
}

async function* nothing(): AsyncGenerator<readonly LogEntry[]> {}

export class MeshStore {
  readonly member: number
  readonly folder: string
  readonly faults: LogFault[] = []
  readonly environment: LmdbEnvironment
  readonly store: LmdbMetadataStore
  readonly #all: MeshStore[]
  readonly #pool: WorkerPool
  serving: ServingSet | undefined
  boot = 0
  run: RunOfLog | undefined
  /** What peers have kept of the log. */
  readTail: ReadTail | undefined
  /** Of its disk. */
  room: RoomState = 'enough'

  /** `all`: the nodes that hear of it; it joins them. */
  constructor(member: number, log: LogSettings, all: MeshStore[], folder?: string) {
    this.member = member
    this.folder = folder ?? mkdtempSync(join(tmpdir(), 'fastregistry-mesh-'))
    this.#all = all
    all.push(this)
    const path = join(this.folder, 'meta')
    mkdirSync(path, { recursive: true })
    const bootFile = join(this.folder, 'boot')
    const tail = join(this.folder, 'tail')
    this.#pool = new WorkerPool({ worker: 'log-writer', threads: 1, tasksPerThread: 1 })
    this.environment = new LmdbEnvironment(path, true)
    this.environment.pin()
    const startCommits = (listener: ConstructorParameters<typeof LogCommits>[1]) =>
      new LogCommits(
        {
          startWriter: () => this.#pool.start({ path, log, member, bootFile, tail }),
          startGate: (run) => {
            this.boot = run.boot
            this.run = run
            this.serving = startServing(run, {
              member,
              reads: 'strict',
              leaseMs: 3_000,
              clock: systemClock,
              room: () => this.room,
              report: (boot, visible) => this.#report(boot, visible),
            })
            return this.serving
          },
          onFault: (fault) => {
            this.faults.push(fault)
          },
          readTail: (...of) => this.readTail?.(...of) ?? nothing(),
        },
        listener,
      )
    this.store = new LmdbMetadataStore(this.environment, startCommits, {
      pageIn: () => undefined,
    })
  }

  /** Resolves when reads are answered here without asking the log. */
  async serves(): Promise<void> {
    while (this.serving?.isServing !== true) await new Promise((resolve) => setTimeout(resolve, 20))
  }

  /** Every shared row as it is stored. */
  *rows(): Generator<string> {
    this.environment.refresh()
    for (const name of Object.keys(DATABASES) as DatabaseName[]) {
      if (DATABASES[name].scope !== 'shared' || name === 'sessions') continue
      for (const key of [...this.environment.keys(name, { start: '', end: '\u{10ffff}' })]) {
        const bytes = this.environment.getBytes(name, key as string)!
        yield `${name} ${JSON.stringify(key)} ${Buffer.from(bytes).toString('base64')}`
      }
    }
  }

  async close(): Promise<void> {
    this.#all.splice(this.#all.indexOf(this), 1)
    await this.store.close()
    await this.#pool.close()
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  #report(boot: number, visible: number): void {
    setImmediate(() => {
      for (const other of this.#all) {
        if (other !== this) other.serving?.onReport(this.member, boot, visible)
      }
    })
  }
}
