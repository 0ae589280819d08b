/**
 * @module A snapshot takes the place of the view: at each step at which the process may end, the next opening
 * finds one view, whole, and finishes or gives up what was begun.
 */
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type InstallDisk,
  installDisk,
  installSnapshot,
} from '../../../../src/metadata/lmdb/snapshot/install.ts'
import { receiveSnapshot } from '../../../../src/metadata/lmdb/snapshot/receive.ts'
import {
  besides,
  CLUSTER,
  type Contents,
  contentsOf,
  fillView,
  metadataPath,
  ROOM,
  streamOf,
  withView,
} from './snapshot-views.ts'

const OLD: Contents = { author: 'old', pulls: 30, bytes: 3, local: 34, schemaVersion: 1 }
const NEW: Contents = { author: 'sent', pulls: 1_200, bytes: 120, local: 1, schemaVersion: 1 }

let stream: Buffer
let received: Buffer
let before: string

const removals: (() => void)[] = []

beforeAll(async () => {
  const sent = metadataPath((remove) => removals.push(remove))
  await fillView(sent, 'sent', NEW.pulls)
  stream = await streamOf(sent)
  received = stream.subarray(24, -32)
  before = metadataPath((remove) => removals.push(remove))
  await fillView(before, 'old', OLD.pulls)
})

afterAll(() => {
  for (const remove of removals) remove()
})

async function* once(bytes: Uint8Array) {
  yield await Promise.resolve(bytes)
}

/** A store with an old view, where `hasOld`, and a snapshot that waits for the next opening. */
async function waiting(hasOld = true): Promise<string> {
  const metadata = metadataPath()
  if (hasOld) cpSync(before, metadata, { recursive: true })
  const target = { metadata, cluster: CLUSTER, bytesMax: 1e9, room: ROOM }
  await receiveSnapshot(once(stream), target)
  return metadata
}

class Killed extends Error {}

/** Ends before the step of this number, and does nothing from then on, as a process that has died. */
function killedAt(
  number: number,
  steps: string[] = [],
  over: Partial<InstallDisk> = {},
): InstallDisk {
  return new Proxy(
    { ...installDisk, ...over },
    {
      get:
        (real, name: keyof InstallDisk) =>
        (...values: never[]) => {
          steps.push(name)
          const isDead = steps.length > number
          if (name === 'transaction') {
            if (isDead) throw new Killed()
            return (real[name] as (...all: never[]) => void)(...values)
          }
          if (isDead) return Promise.reject(new Killed())
          return (real[name] as (...all: never[]) => Promise<void>)(...values)
        },
    },
  )
}

/** Runs installations that die before the steps of these numbers, one after the other, then one that lives. */
async function survive(
  metadata: string,
  deaths: readonly number[],
  over: Partial<InstallDisk> = {},
) {
  for (const death of deaths) {
    const run = installSnapshot(metadata, killedAt(death, [], over))
    const outcome = await run.catch((error: unknown) => error)
    if (!(outcome instanceof Killed)) return outcome
  }
  return installSnapshot(metadata, { ...installDisk, ...over })
}

describe('an installation', () => {
  test('puts the new view in the place of the old one, without the local rows of its sender', async () => {
    const metadata = await waiting()
    expect(await contentsOf(metadata)).toEqual(OLD)
    const steps: string[] = []
    let rows = 0
    const transaction: InstallDisk['transaction'] = (view, work) => {
      const there = view.count('verdicts')
      view.writeSync(work)
      rows = Math.max(rows, there - view.count('verdicts'))
    }
    const disk = killedAt(Number.POSITIVE_INFINITY, steps, { transaction })
    expect(await installSnapshot(metadata, disk)).toBe('installed')
    expect(await contentsOf(metadata)).toEqual(NEW)
    expect(besides(metadata)).toEqual([])
    expect(rows, 'rows of one transaction').toBe(500)
    expect(steps.filter((step) => step === 'transaction').length).toBeGreaterThanOrEqual(6)
    expect(await installSnapshot(metadata)).toBe('nothing')
    expect(await contentsOf(metadata)).toEqual(NEW)
  })

  test('is the first view of a new node', async () => {
    const metadata = await waiting(false)
    expect(await installSnapshot(metadata)).toBe('installed')
    expect(await contentsOf(metadata)).toEqual(NEW)
    expect(besides(metadata)).toEqual([])
  })

  test('without anything received does nothing, and removes what a dead process has left', async () => {
    const metadata = metadataPath()
    expect(await installSnapshot(metadata)).toBe('nothing')
    expect(existsSync(metadata)).toBe(false)
    cpSync(before, metadata, { recursive: true })
    for (const name of ['copy', 'part']) {
      mkdirSync(`${metadata}.${name}`)
      writeFileSync(`${metadata}.${name}/data.mdb`, 'half')
    }
    expect(await installSnapshot(metadata)).toBe('nothing')
    expect(besides(metadata)).toEqual([])
    expect(await contentsOf(metadata)).toEqual(OLD)
  })

  test('leaves a view whose first transaction may be large', async () => {
    const metadata = await waiting()
    await installSnapshot(metadata)
    const program = fileURLToPath(new URL('../../storage/first-write.mjs', import.meta.url))
    for (const kind of ['overwrite', 'delete', 'large', 'add']) {
      const copy = metadataPath()
      cpSync(metadata, copy, { recursive: true })
      const run = spawnSync(process.execPath, [program, copy, kind, '20000'], { encoding: 'utf8' })
      expect(`${run.stdout}${run.stderr}${run.signal ?? ''}`.trim(), kind).toBe('1')
    }
  })
})

describe.each([
  ['with two names of a file', {}],
  [
    'where a file has one name',
    { link: () => Promise.reject(Object.assign(new Error('no links'), { code: 'EPERM' })) },
  ],
])('a process that dies, %s', (_what, over: Partial<InstallDisk>) => {
  async function stepsOf(hasOld: boolean): Promise<string[]> {
    const steps: string[] = []
    const metadata = await waiting(hasOld)
    await installSnapshot(metadata, killedAt(Number.POSITIVE_INFINITY, steps, over))
    return steps
  }

  test.each([
    ['with a view', true],
    ['on a new node', false],
  ])('before any step, %s: the next opening goes on', async (_which, hasOld) => {
    const steps = await stepsOf(hasOld)
    expect(steps.length).toBeGreaterThan(15)
    const opening = steps.indexOf('mark') + 1
    for (let death = 0; death <= steps.length; death += 1) {
      const metadata = await waiting(hasOld)
      const run = installSnapshot(metadata, killedAt(death, [], over))
      await run.catch((error: unknown) => {
        if (!(error instanceof Killed)) throw error
      })
      // What another program would open meanwhile is a whole view.
      const hasView = existsSync(join(metadata, 'data.mdb'))
      if (hasOld && _what.startsWith('with two')) expect(hasView).toBe(true)
      // Every start makes the folder before anything else.
      mkdirSync(metadata, { recursive: true })
      const outcome = await installSnapshot(metadata, { ...installDisk, ...over })
      const isGivenUp = death === opening || death === opening + 1
      const wanted = isGivenUp ? 'given-up' : death === steps.length ? 'nothing' : outcome
      expect(outcome, `${death} ${steps[death]}`).toBe(wanted)
      expect(besides(metadata), `${death} ${steps[death]}`).toEqual([])
      if (!isGivenUp) expect(await contentsOf(metadata)).toEqual(NEW)
      else if (hasOld) expect(await contentsOf(metadata)).toEqual(OLD)
      else expect(existsSync(join(metadata, 'data.mdb'))).toBe(false)
      expect(await installSnapshot(metadata)).toBe('nothing')
    }
  })

  test('twice: one of the two views is there, whole', async () => {
    const steps = await stepsOf(true)
    for (let first = 0; first < steps.length; first += 1) {
      for (const second of [first % 4, 4 + (first % 7)]) {
        const metadata = await waiting()
        await survive(metadata, [first, second], over)
        expect(besides(metadata), `${first} ${second}`).toEqual([])
        const found = await contentsOf(metadata)
        expect(found, `${first} ${second}`).toEqual(found.author === 'old' ? OLD : NEW)
      }
    }
  })
})

describe('a view that does not open', () => {
  /** Whole by its first page, and shorter than that says. */
  async function damaged(hasOld: boolean): Promise<string> {
    const metadata = await waiting(hasOld)
    truncateSync(`${metadata}.new/data.mdb`, 8_192)
    return metadata
  }

  test.each([true, false])(
    'ends the process: the next opening gives it up (a view: %s)',
    async (hasOld) => {
      const metadata = await damaged(hasOld)
      const program = fileURLToPath(new URL('install-view.mjs', import.meta.url))
      const run = spawnSync(process.execPath, [program, metadata], { encoding: 'utf8' })
      expect(run.signal, run.stderr).toMatch(/^SIG(?:BUS|SEGV|ABRT)$/)
      expect(await installSnapshot(metadata)).toBe('given-up')
      expect(besides(metadata)).toEqual([])
      if (hasOld) expect(await contentsOf(metadata)).toEqual(OLD)
      else expect(existsSync(join(metadata, 'data.mdb'))).toBe(false)
      expect(await installSnapshot(metadata)).toBe('nothing')
    },
  )

  test('is given up at once when LMDB throws, and at whatever step the process dies then', async () => {
    const transaction = () => {
      throw new Error('MDB_CORRUPTED')
    }
    const steps: string[] = []
    const first = await waiting()
    const run = installSnapshot(first, killedAt(Number.POSITIVE_INFINITY, steps, { transaction }))
    await expect(run).rejects.toMatchObject({ problem: 'view' })
    expect(besides(first)).toEqual([])
    expect(await contentsOf(first)).toEqual(OLD)
    for (let death = 0; death < steps.length; death += 1) {
      const metadata = await waiting()
      await survive(metadata, [death], { transaction }).catch((error: unknown) => error)
      await installSnapshot(metadata, { ...installDisk, transaction }).catch(() => undefined)
      expect(besides(metadata), `${death} ${steps[death]}`).toEqual([])
      expect(await contentsOf(metadata)).toEqual(OLD)
    }
  })
})

test('a backup that still reads the old view keeps it', async () => {
  const metadata = await waiting()
  const { ino } = statSync(join(metadata, 'lock.mdb'))
  await installSnapshot(metadata)
  expect(statSync(join(metadata, 'lock.mdb')).ino).not.toBe(ino)
  expect(readFileSync(join(metadata, 'data.mdb')).length).toBeGreaterThanOrEqual(received.length)
  await withView(metadata, (view) => view.writeSync(() => view.put('cursors', 'a', 'b')))
})
