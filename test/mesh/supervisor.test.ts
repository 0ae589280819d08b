/**
 * @module The etcd that a node runs, with real processes: founding, joining, its end with the node, an
 * orderly stop, voters that come and go, and a quota that is reached. FASTREGISTRY_LONG=1 goes from three
 * members to five and back as well.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { EtcdMembers } from '../../src/mesh/etcd/members.ts'
import { systemProcesses } from '../../src/mesh/etcd/orphan.ts'
import { freeSpace } from '../../src/mesh/etcd/space.ts'
import { type MeshMember, votersFor } from '../../src/mesh/etcd/steps.ts'
import { Voters } from '../../src/mesh/etcd/voters.ts'
import { EtcdLog } from '../../src/metadata/log/etcd/log.ts'
import { Authority } from '../support/certificates.ts'
import { needEtcd } from '../support/mesh/etcd.ts'
import { EtcdNode, etcdProgram, LAUNCHER } from '../support/mesh/etcd-node.ts'
import { followFrom } from '../support/mesh/follow.ts'

needEtcd()

const isLinux = process.platform === 'linux'
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function node(some: Parameters<typeof EtcdNode.make>[0] = {}): Promise<EtcdNode> {
  const made = await EtcdNode.make(some)
  ends.push(() => made.end())
  return made
}

/** Resolves when it is so; the time is a bound, not a wait. */
async function until(what: string, isSo: () => Promise<boolean> | boolean, ms = 30_000) {
  const end = performance.now() + ms
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`not in ${ms} ms: ${what}`)
    await pause(20)
  }
}

const isGone = (pid: number) => systemProcesses.startTimeOf(pid) === undefined

describe('one node', () => {
  test('founds an etcd, stops in order, and goes on with what is there', async () => {
    const one = await node()
    process.env['ETCD_NAME'] = 'from-the-environment'
    ends.push(() => delete process.env['ETCD_NAME'])
    await one.found()
    const [member] = await one.members.list()
    expect(member).toMatchObject({ name: one.settings.name, isLearner: false })
    const pid = one.child!.pid!
    if (isLinux) {
      expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).toBe('')
      expect(readFileSync(`/proc/${pid}/comm`, 'utf8').trim()).toMatch(/^etcd/)
    }
    const log = new EtcdLog({ endpoints: [one.endpoint], cluster: 'c' })
    ends.push(() => log.close())
    await log.create(Buffer.from('first'))
    await one.child!.stop()
    expect(isGone(pid)).toBe(true)

    const again = one.supervise({ kind: 'found', token: 'another' })
    await again.start()
    await again.serving()
    expect(await log.head()).toBe(1)
    expect((await one.members.list())[0]!.id).toBe(member!.id)
  })

  test('starts it again when it dies', async () => {
    const one = await node()
    await one.found()
    const first = one.child!.pid!
    process.kill(first, 'SIGKILL')
    await until('another process', () => one.child!.pid !== undefined && one.child!.pid !== first)
    await one.child!.serving()
    expect(one.said.some((line) => line.includes('is started again'))).toBe(true)
  })

  test('is refused when its data is gone', async () => {
    const one = await node()
    await one.found()
    await one.child!.stop()
    rmSync(`${one.settings.folder}/data`, { recursive: true })
    const gone = { code: 'data', message: expect.stringContaining('gone') }
    const founding = one.supervise({ kind: 'found', token: 'x' })
    await expect(founding.start()).rejects.toMatchObject(gone)
    // With the whole folder gone, the node's own rows say it.
    rmSync(one.settings.folder, { recursive: true })
    const known = one.supervise({ kind: 'found', token: 'x' }, { isKnown: true })
    await expect(known.start()).rejects.toMatchObject(gone)
    expect(known.state).toBe('stopped')
  })

  test('asks both sides for certificates', async () => {
    const folder = mkdtempSync(`${tmpdir()}/fastregistry-tls-`)
    ends.push(() => rmSync(folder, { recursive: true }))
    const authority = new Authority(folder)
    const files = { ca: authority.cert, ...authority.issue('node', 'IP:127.0.0.1') }
    const one = await node({ tls: { peer: files, client: files } })
    await one.found()
    expect(await one.members.list()).toHaveLength(1)
    const stranger = new EtcdMembers({
      endpoints: [one.endpoint],
      tls: { ca: readFileSync(files.ca) },
    })
    ends.push(() => stranger.close())
    await expect(stranger.list()).rejects.toMatchObject({ code: 'denied' })
  })
})

/** A node as a process of its own, which can be killed. */
async function parentOf(one: EtcdNode, mode: 'become' | 'watch') {
  const program = await etcdProgram()
  const options = {
    program,
    settings: one.settings,
    mode,
    beginning: { kind: 'found', token: 'p' },
  }
  const script = fileURLToPath(new URL('../support/mesh/etcd-parent.mjs', import.meta.url))
  const parent: ChildProcess = spawn(process.execPath, [script, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  ends.push(() => parent.kill('SIGKILL'))
  const lines = createInterface({ input: parent.stdout! })[Symbol.asyncIterator]()
  const pid = Number(String((await lines.next()).value).replace('pid ', ''))
  return { parent, pid, serving: async () => expect((await lines.next()).value).toBe('serving') }
}

describe.runIf(isLinux)('a node that is killed', () => {
  test.each(['become', 'watch'] as const)('takes its etcd along (%s)', async (mode) => {
    const one = await node()
    const { parent, pid, serving } = await parentOf(one, mode)
    await serving()
    const exit = once(parent, 'exit')
    parent.kill('SIGKILL')
    await exit
    await until('the process is gone', () => isGone(pid), 5000)
    expect(await succeeds(one.members.status(one.endpoint))).toBe(false)
    // Its ports and its data are free.
    const next = one.supervise({ kind: 'resume' })
    await next.start()
    await next.serving()
  })

  test('takes along an etcd that has only begun to start', async () => {
    const one = await node()
    const { parent, pid } = await parentOf(one, 'become')
    const exit = once(parent, 'exit')
    parent.kill('SIGKILL')
    await exit
    await until('the process is gone', () => isGone(pid), 5000)
  })

  test('leaves an orphan that the next start ends, when all else has failed', async () => {
    const one = await node()
    const { parent, pid, serving } = await parentOf(one, 'watch')
    await serving()
    // A launcher that is stopped sees nothing of its node's end.
    process.kill(pid, 'SIGSTOP')
    const exit = once(parent, 'exit')
    parent.kill('SIGKILL')
    await exit
    await one.members.status(one.endpoint)
    expect(isGone(pid)).toBe(false)
    const next = one.supervise({ kind: 'resume' })
    await next.start()
    expect(isGone(pid)).toBe(true)
    await next.serving()
    expect(one.said.some((line) => line.includes('outlived its node'))).toBe(true)
  })

  test('is not helped by another node while it runs', async () => {
    const one = await node()
    const { pid, serving } = await parentOf(one, 'become')
    await serving()
    const other = one.supervise({ kind: 'resume' })
    await expect(other.start()).rejects.toMatchObject({ code: 'running' })
    expect(isGone(pid)).toBe(false)
  })
})

/** Several nodes of one mesh, each of which joins as soon as etcd lists it, and a lead among them. */
class Mesh {
  readonly members: EtcdMembers
  readonly #all = new Set<EtcdNode>()
  wanted: MeshMember[] = []
  readonly voters: Voters

  constructor(founder: EtcdNode) {
    this.members = new EtcdMembers({ endpoints: [founder.endpoint] })
    ends.push(() => this.members.close())
    this.voters = new Voters({
      members: this.members,
      isLead: () => true,
      mesh: () => this.wanted,
    })
  }

  /** Steps until these members have the roles that they are to have; the log takes entries all the way. */
  async become(nodes: readonly EtcdNode[], log: EtcdLog): Promise<void> {
    this.wanted = nodes.map(({ mesh }) => mesh)
    for (const one of nodes) this.#all.add(one)
    await until(
      'the voters that are wanted',
      async () => {
        const step = await this.voters.step().catch(() => undefined)
        for (const one of nodes) await this.#follow(one)
        await until('an append', () => succeeds(log.append(Buffer.from('entry'))), 10_000)
        const serving = nodes.filter(({ child }) => child?.state === 'serving')
        if (serving.length > 0) this.members.use(serving.map(({ endpoint }) => endpoint))
        for (const one of this.#all)
          one.members.use([one, ...nodes].map(({ endpoint }) => endpoint))
        await pause(100)
        return step?.kind === 'none'
      },
      100_000,
    )
    const listed = await this.members.list()
    const urls = nodes.map(({ settings }) => settings.peerUrl)
    for (const { peerUrls } of listed) expect(urls).toContain(peerUrls[0])
    const voters = listed.filter(({ isLearner }) => !isLearner)
    expect(voters).toHaveLength(votersFor(nodes.length))
    expect(listed).toHaveLength(nodes.length)
  }

  /** What a node does beside the lead's work: it begins when it is listed, and ends when it was removed. */
  async #follow(one: EtcdNode): Promise<void> {
    if (one.child?.state === 'removed') {
      await one.child.forget()
      one.child = undefined
    }
    if (one.child === undefined) await one.tryJoin(this.members).catch(() => false)
  }
}

function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  )
}

describe('voters', () => {
  const several = (count: number) => Promise.all(Array.from({ length: count }, () => node()))
  const logOn = async (nodes: readonly EtcdNode[]) => {
    const log = new EtcdLog({ endpoints: nodes.map(({ endpoint }) => endpoint), cluster: 'c' })
    ends.push(() => log.close())
    await log.create(Buffer.from('first'))
    return log
  }

  test('one becomes three, one of which is wiped, and two remain', async () => {
    const [a, b, c] = (await several(3)) as [EtcdNode, EtcdNode, EtcdNode]
    await a.found()
    const log = await logOn([a, b, c])
    const mesh = new Mesh(a)
    await mesh.become([a, b, c], log)

    await c.child!.stop()
    rmSync(c.settings.folder, { recursive: true })
    const wiped = c.supervise({ kind: 'join', listed: await mesh.members.list() })
    await expect(wiped.start()).rejects.toMatchObject({ code: 'data' })

    // One of the two loses its vote, and joins again to follow, in the same folder.
    await mesh.become([a, b], log)
    expect((await mesh.members.list()).filter(({ isLearner }) => isLearner)).toHaveLength(1)
  }, 120_000)

  test('a leader hands over before it stops', async () => {
    const nodes = await several(3)
    await nodes[0]!.found()
    const log = await logOn(nodes)
    await new Mesh(nodes[0]!).become(nodes, log)
    const { leader } = await nodes[0]!.members.status(nodes[0]!.endpoint)
    const ids = await Promise.all(
      nodes.map(async ({ members, endpoint }) => (await members.status(endpoint)).memberId),
    )
    const at = ids.indexOf(leader)
    const other = nodes[(at + 1) % 3]!
    const next = ids[(at + 1) % 3]!
    const moved = expect.objectContaining({ leader: next })
    await nodes[at]!.members.moveLeader(nodes[at]!.endpoint, next)
    expect(await other.members.status(other.endpoint)).toEqual(moved)
    // It does not lead any more, and cannot give that away.
    const refused = nodes[at]!.members.moveLeader(nodes[at]!.endpoint, leader)
    await expect(refused).rejects.toMatchObject({ code: 'refused' })
    await other.members.moveLeader(other.endpoint, leader)
    await nodes[at]!.child!.stop()
    // The election of another would have taken ten heartbeats: it is over already.
    const after = await other.members.status(other.endpoint)
    expect(after.leader).not.toBe(leader)
    expect(after.leader).not.toBe(0n)
    await log.append(Buffer.from('entry')).catch(() => log.append(Buffer.from('entry')))
  }, 60_000)

  test.runIf(process.env['FASTREGISTRY_LONG'] === '1')(
    'three become five and three others',
    async () => {
      const nodes = await several(5)
      await nodes[0]!.found()
      const log = await logOn(nodes)
      const mesh = new Mesh(nodes[0]!)
      await mesh.become(nodes.slice(0, 3), log)
      await mesh.become(nodes, log)
      await mesh.become(nodes.slice(2), log)
      const states = () => nodes.map(({ child }) => child!.state)
      const ended = ['removed', 'removed', 'serving', 'serving', 'serving']
      await until('the end of the removed ones', () => states().join() === ended.join())
    },
    400_000,
  )
})

test('an etcd that has reached its quota takes entries again', async () => {
  const quotaBytes = 4 * 1024 * 1024
  const one = await node({ quotaBytes })
  await one.found()
  const log = new EtcdLog({ endpoints: [one.endpoint], cluster: 'c' })
  ends.push(() => log.close())
  await log.create(Buffer.from('first'))
  const entry = Buffer.alloc(256 * 1024, 7)
  const fill = async () => {
    for (let count = 0; count < 100; count += 1) await log.append(entry)
  }
  await expect(fill()).rejects.toMatchObject({ code: 'no-space' })
  const options = { members: one.members, isLead: () => true, quotaBytes }
  await until('the alarm is listed', async () => (await one.members.alarms()).length > 0)
  const head = await log.head()
  const following = followFrom(log)
  await following.until(head)
  const truncate = () => log.truncate(following.place)
  expect(await freeSpace({ ...options, truncate })).toBe('freed')
  await log.append(entry)
  expect(await one.members.alarms()).toEqual([])
  expect(await freeSpace({ ...options, truncate })).toBe('well')
  const { dbBytes } = await one.members.status(one.endpoint)
  expect(dbBytes).toBeLessThan(quotaBytes)
})

test('the launcher alone does nothing', async () => {
  const child = spawn(process.execPath, [LAUNCHER], { stdio: 'ignore' })
  expect(await once(child, 'exit')).toEqual([1, null])
})
