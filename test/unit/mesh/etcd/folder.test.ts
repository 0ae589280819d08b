/**
 * @module How a member of etcd begins, by what its folder says of the past; and which process of an earlier
 * run is ended.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Beginning, EtcdMemberSettings } from '../../../../src/mesh/etcd/flags.ts'
import { beginningOf, MemberFolder, type Past } from '../../../../src/mesh/etcd/folder.ts'
import {
  endOrphan,
  type PidFile,
  type Processes,
  removePidFile,
  systemProcesses,
  writePidFile,
} from '../../../../src/mesh/etcd/orphan.ts'
import { FakeTime } from '../../../support/mesh/fake-time.ts'

let path = ''
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'fastregistry-folder-'))
})
afterEach(() => rmSync(path, { recursive: true }))

const peerUrl = 'http://127.0.0.1:7947'
const settings: EtcdMemberSettings = {
  name: 'n1',
  folder: 'etcd',
  peerUrl,
  clientUrl: 'http://127.0.0.1:7948',
}
const found: Beginning = { kind: 'found', token: 't' }
const joinAs = (name: string): Beginning => {
  const self = { id: 2n, name, peerUrls: [peerUrl], clientUrls: [], isLearner: true }
  return { kind: 'join', listed: [self] }
}
const nothing: Past = { mark: undefined, hasData: false, isKnown: false }
const mark = { state: 'started', name: 'n1', peerUrl } as const
const refused = expect.objectContaining({ code: 'data', message: expect.stringMatching(/\. /) })

describe('an empty folder', () => {
  test('founds, or joins as a member that was never started', () => {
    expect(beginningOf(settings, found, nothing)).toBe(found)
    const fresh = joinAs('')
    expect(beginningOf(settings, fresh, nothing)).toBe(fresh)
    // The start before did not come far.
    const starting: Past = { ...nothing, mark: { ...mark, state: 'starting' } }
    expect(beginningOf(settings, found, starting)).toBe(found)
  })

  test.each<[string, Beginning, Partial<Past>]>([
    ['a member that has served', found, { mark }],
    ['a member of which the own rows know', found, { isKnown: true }],
    ['a member that etcd knows by name', joinAs('n1'), {}],
    ['a member that etcd does not list', { kind: 'join', listed: [] }, {}],
    ['a member that was to go on', { kind: 'resume' }, {}],
  ])('is refused to %s', (_, wanted, past) => {
    expect(() => beginningOf(settings, wanted, { ...nothing, ...past })).toThrow(refused)
  })
})

describe('a folder with data', () => {
  test('goes on, whatever the beginning would have been', () => {
    const past = { mark, hasData: true, isKnown: true }
    for (const wanted of [found, joinAs('n1')]) {
      expect(beginningOf(settings, wanted, past)).toEqual({ kind: 'resume' })
    }
    // Nothing may have been voted for yet: the flags of the beginning still count.
    const half = { ...past, mark: { ...mark, state: 'starting' as const } }
    expect(beginningOf(settings, found, half)).toBe(found)
  })

  test('of another program, or of another member, is refused', () => {
    const past = { hasData: true, isKnown: false }
    expect(() => beginningOf(settings, found, { ...past, mark: undefined })).toThrow(refused)
    const others = { ...mark, peerUrl: 'http://127.0.0.2:7947' }
    expect(() => beginningOf(settings, found, { ...past, mark: others })).toThrow(refused)
    expect(() => beginningOf(settings, found, { ...past, mark: { ...mark, name: 'n2' } })).toThrow(
      refused,
    )
  })
})

test('marks are read as they were written, and nothing else is', async () => {
  const folder = new MemberFolder(join(path, 'etcd'))
  expect(await folder.mark()).toBeUndefined()
  expect(await folder.hasData()).toBe(false)
  await folder.setMark(mark)
  expect(await folder.mark()).toEqual(mark)
  mkdirSync(join(folder.dataDir, 'member', 'wal'), { recursive: true })
  expect(await folder.hasData()).toBe(false)
  writeFileSync(join(folder.dataDir, 'member', 'wal', '0.wal'), '')
  expect(await folder.hasData()).toBe(true)
  for (const text of ['', '{', '[]', 'null', '{"state":"x"}', `${'x'.repeat(20_000)}`]) {
    writeFileSync(join(folder.path, 'member.json'), text)
    await expect(folder.mark(), text).rejects.toMatchObject({ code: 'data' })
  }
  await folder.setMark(mark)
  await folder.clear()
  expect(await folder.mark()).toBeUndefined()
  expect(await folder.hasData()).toBe(false)
})

describe('an orphan', () => {
  const pidFile = () => join(path, 'etcd.pid')
  const note = (some: Partial<PidFile> = {}) => {
    const whole: PidFile = {
      boot: 'b1',
      etcd: { pid: 500, startTime: '77' },
      node: { pid: 400, startTime: '70' },
      ...some,
    }
    writeFileSync(pidFile(), JSON.stringify(whole))
  }

  class FakeProcesses implements Processes {
    readonly started = new Map([[500, '77']])
    readonly killed: [number, string][] = []
    diesOf = true
    boot = () => 'b1'
    startTimeOf = (pid: number) => this.started.get(pid)
    kill = (pid: number, signal: string) => {
      this.killed.push([pid, signal])
      if (this.diesOf) this.started.delete(-pid)
    }
  }

  test('is ended', async () => {
    const processes = new FakeProcesses()
    note()
    expect(await endOrphan(pidFile(), { processes })).toBe(true)
    expect(processes.killed).toEqual([[-500, 'SIGKILL']])
    expect(await endOrphan(pidFile(), { processes })).toBe(false)
  })

  test('is not a process that has its pid by chance, or had it before the machine started again', async () => {
    const processes = new FakeProcesses()
    note({ etcd: { pid: 500, startTime: '76' } })
    expect(await endOrphan(pidFile(), { processes })).toBe(false)
    note({ boot: 'b0' })
    expect(await endOrphan(pidFile(), { processes })).toBe(false)
    expect(processes.killed).toEqual([])
  })

  test('is none while its node runs', async () => {
    const processes = new FakeProcesses()
    processes.started.set(400, '70')
    note()
    const running = { code: 'running', message: expect.stringContaining('process 400') }
    await expect(endOrphan(pidFile(), { processes })).rejects.toMatchObject(running)
    expect(processes.killed).toEqual([])
    // Another process has the pid of the node now.
    processes.started.set(400, '71')
    expect(await endOrphan(pidFile(), { processes })).toBe(true)
  })

  test('of this very process is ended too', async () => {
    const processes = new FakeProcesses()
    processes.started.set(process.pid, '9')
    note({ node: { pid: process.pid, startTime: '9' } })
    expect(await endOrphan(pidFile(), { processes })).toBe(true)
  })

  test('that does not end is said, after five seconds', async () => {
    const processes = new FakeProcesses()
    processes.diesOf = false
    note()
    const time = new FakeTime()
    const ended = endOrphan(pidFile(), { processes, time })
    const refusal = expect(ended).rejects.toMatchObject({ code: 'running' })
    await time.advance(5100)
    await refusal
  })

  test.each(['', '{', '{"boot":"b1"}', '{"boot":"b1","etcd":{"pid":1,"startTime":"77"}}'])(
    'is not looked for where %j is the file',
    async (text) => {
      writeFileSync(pidFile(), text)
      const processes = new FakeProcesses()
      for (const pid of [-1, 0, 1]) processes.started.set(pid, '77')
      expect(await endOrphan(pidFile(), { processes })).toBe(false)
    },
  )

  test.each([-1, 0, 1, 1.5])('is never the process %d', async (pid) => {
    const processes = new FakeProcesses()
    processes.started.set(pid, '77')
    note({ etcd: { pid, startTime: '77' } })
    expect(await endOrphan(pidFile(), { processes })).toBe(false)
    expect(processes.killed).toEqual([])
  })

  test.runIf(process.platform === 'linux')('is known by the start of a real process', async () => {
    expect(systemProcesses.startTimeOf(process.pid)).toMatch(/^\d+$/)
    expect(systemProcesses.startTimeOf(2 ** 22 + 1)).toBeUndefined()
    writePidFile(pidFile(), process.pid)
    const killed: number[] = []
    let isHere = true
    const processes: Processes = {
      ...systemProcesses,
      startTimeOf: (pid) => (isHere ? systemProcesses.startTimeOf(pid) : undefined),
      kill(pid) {
        killed.push(pid)
        isHere = false
      },
    }
    expect(await endOrphan(pidFile(), { processes })).toBe(true)
    expect(killed).toEqual([-process.pid])
    removePidFile(pidFile())
    removePidFile(pidFile())
    expect(await endOrphan(pidFile())).toBe(false)
  })
})
