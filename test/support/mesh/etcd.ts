/**
 * @module Real etcd processes on 127.0.0.1 for tests: one member or three, on free ports and in a folder
 * of their own. Each is ended by the process that was started. FASTREGISTRY_ETCD names another program
 * than the `etcd` of the path.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, type TestContext } from 'vitest'
import { EtcdLog, type EtcdLogOptions } from '../../../src/metadata/log/etcd/log.ts'
import { skipLoudly } from '../../clients/support/tools.ts'

export const PROGRAM = process.env['FASTREGISTRY_ETCD'] ?? 'etcd'
const READY_MS = 15_000

/** The version of the program, as `3.4.23`; undefined when it is not installed. */
export const etcdVersion: string | undefined = (() => {
  try {
    const text = execFileSync(PROGRAM, ['--version'], { encoding: 'utf8' })
    return /etcd Version: (\S+)/.exec(text)?.[1]
  } catch {
    return undefined
  }
})()

/** Skips every test of the file, loudly, when there is no etcd. */
export function needEtcd(): void {
  beforeEach((context: TestContext) => {
    if (etcdVersion !== undefined) return
    skipLoudly(context, `${PROGRAM} is not installed (apt-get install etcd-server)`)
  })
}

/** One cluster for all tests of the file, which are skipped without etcd. */
export function useEtcd(): () => EtcdCluster {
  needEtcd()
  let etcd: EtcdCluster | undefined
  beforeAll(async () => {
    if (etcdVersion !== undefined) etcd = await EtcdCluster.start()
  })
  afterAll(() => etcd?.stop())
  return () => etcd!
}

export interface EtcdClusterOptions {
  readonly members?: 1 | 3
  /** Flags of every member. */
  readonly flags?: readonly string[]
  /** With `https` its health is not asked for: etcd listens when it can serve. */
  readonly scheme?: 'http' | 'https'
  /** Ports of an earlier cluster, for one that is set up again in its place. */
  readonly ports?: readonly MemberPorts[]
}

export interface MemberPorts {
  readonly client: number
  readonly peer: number
}

export class EtcdMember {
  readonly name: string
  readonly ports: MemberPorts
  readonly #command: readonly string[]
  readonly #log: string
  #child: ChildProcess | undefined

  constructor(name: string, ports: MemberPorts, folder: string, flags: readonly string[]) {
    this.name = name
    this.ports = ports
    this.data = join(folder, name)
    this.#log = join(folder, `${name}.log`)
    this.#command = ['--name', name, '--data-dir', this.data, ...flags]
  }

  /** Where its data is. */
  readonly data: string

  /** `host:port` of its clients. */
  get endpoint(): string {
    return `127.0.0.1:${this.ports.client}`
  }

  start(): void {
    const output = openSync(this.#log, 'a')
    // Flags alone decide: etcd takes settings from ETCD_ variables too.
    const env = { PATH: process.env['PATH'] ?? '' }
    this.#child = spawn(PROGRAM, this.#command, { env, stdio: ['ignore', output, output] })
    this.#child.on('error', () => {})
    closeSync(output)
  }

  get isRunning(): boolean {
    return this.#child !== undefined
  }

  /** Like a power loss of the process. Resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }

  /** Stops it in its tracks: its connections stay, and nothing answers. */
  stopTime(): void {
    this.#child?.kill('SIGSTOP')
  }

  goOn(): void {
    this.#child?.kill('SIGCONT')
  }

  /** The end of what it wrote, for a test that failed. */
  tail(): string {
    return readFileSync(this.#log, 'utf8').slice(-2000)
  }
}

export class EtcdCluster {
  readonly members: readonly EtcdMember[]
  readonly #folder: string
  readonly #scheme: string

  private constructor(members: readonly EtcdMember[], folder: string, scheme: string) {
    this.members = members
    this.#folder = folder
    this.#scheme = scheme
  }

  /** Resolves when all members serve. Call `stop` whatever comes. */
  static async start(options: EtcdClusterOptions = {}): Promise<EtcdCluster> {
    const { flags = [], scheme = 'http' } = options
    const folder = mkdtempSync(join(tmpdir(), 'fastregistry-etcd-'))
    const ports = options.ports ?? (await freePorts(options.members ?? 3))
    const initial = ports.map(({ peer }, at) => `m${at}=http://127.0.0.1:${peer}`).join(',')
    const members = ports.map((one, at) => {
      const client = `${scheme}://127.0.0.1:${one.client}`
      const peer = `http://127.0.0.1:${one.peer}`
      return new EtcdMember(`m${at}`, one, folder, [
        ...['--listen-client-urls', client, '--advertise-client-urls', client],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
        ...['--initial-cluster', initial, '--initial-cluster-token', 'fastregistry-test'],
        // A third of the usual times: a test waits for elections.
        ...['--heartbeat-interval', '40', '--election-timeout', '400', '--logger', 'zap'],
        ...flags,
      ])
    })
    const cluster = new EtcdCluster(members, folder, scheme)
    for (const member of members) member.start()
    try {
      await cluster.ready()
    } catch (error) {
      await cluster.stop()
      throw error
    }
    return cluster
  }

  get endpoints(): readonly string[] {
    return this.members.map(({ endpoint }) => endpoint)
  }

  /** Resolves when these members say that they are healthy: there is a leader, and a majority commits. */
  async ready(members: readonly EtcdMember[] = this.members): Promise<void> {
    const isUp = this.#scheme === 'https' ? isListening : isHealthy
    const end = performance.now() + READY_MS
    for (const member of members) {
      while (!(await isUp(member))) {
        if (performance.now() > end) throw new Error(`${member.name} is not up:\n${member.tail()}`)
        await pause(20)
      }
    }
  }

  /** A log on all members, or on those that the options name. */
  log(options: Partial<EtcdLogOptions> & { readonly cluster: string }): EtcdLog {
    return new EtcdLog({ endpoints: this.endpoints, ...options })
  }

  /** The member that leads, and those that follow it. */
  async roles(): Promise<{ readonly leader: EtcdMember; readonly others: readonly EtcdMember[] }> {
    const log = this.log({ cluster: 'roles' })
    try {
      const all = await log.status()
      const at = all.findIndex(
        ({ status }) => status !== undefined && status.memberId === status.leader,
      )
      const leader = this.members[at]
      if (leader === undefined) throw new Error('nothing leads')
      return { leader, others: this.members.filter((member) => member !== leader) }
    } finally {
      await log.close()
    }
  }

  /** Brings back what a test left killed or stopped. Resolves when all members serve. */
  async revive(): Promise<void> {
    for (const member of this.members) {
      member.goOn()
      if (!member.isRunning) member.start()
    }
    await this.ready()
  }

  /** Kills all members and removes their files. */
  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()))
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

async function isHealthy({ endpoint }: EtcdMember): Promise<boolean> {
  try {
    const answer = await fetch(`http://${endpoint}/health`, { signal: AbortSignal.timeout(1000) })
    return /"health": ?"true"/.test(await answer.text())
  } catch {
    return false
  }
}

async function isListening({ ports }: EtcdMember): Promise<boolean> {
  const socket = connect(ports.client, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** Ports that nothing listens on: all are held until the last one is known. */
export async function freePorts(members: number): Promise<readonly MemberPorts[]> {
  const servers = await Promise.all(
    Array.from({ length: members * 2 }, async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as { readonly port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return Array.from({ length: members }, (_, at) => ({
    client: ports[at * 2]!,
    peer: ports[at * 2 + 1]!,
  }))
}
