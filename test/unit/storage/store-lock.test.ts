import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Libc, loadLibc } from '../../../src/runtime/libc.ts'
import { lockStore } from '../../../src/storage/lock.ts'
import { temporaryFolder } from '../../support/store.ts'

const loaded = loadLibc()
const libc = 'unavailable' in loaded ? undefined : loaded

/** A pid that no process has: above the most that Linux gives. */
const deadPid = 2 ** 22 + 1

describe.runIf(libc !== undefined)('the lock of a store', () => {
  test('is for one at a time, and names who has it', async () => {
    const folder = await temporaryFolder()
    const lock = lockStore(folder, libc)
    expect(readFileSync(join(folder, 'lock'), 'utf8')).toBe(`${process.pid}\n`)
    expect(() => lockStore(folder, libc)).toThrow(`${folder} is in use by process ${process.pid};`)
    lock.release()
    lockStore(folder, libc).release()
  })

  test('does not believe what a dead process left in the file', async () => {
    const folder = await temporaryFolder()
    writeFileSync(join(folder, 'lock'), '1\n')
    lockStore(folder, libc).release()
  })

  test('is told without a pid when the holder has not written it yet', async () => {
    const folder = await temporaryFolder()
    const lock = lockStore(folder, libc)
    writeFileSync(join(folder, 'lock'), '')
    expect(() => lockStore(folder, libc)).toThrow('is in use by another process;')
    lock.release()
  })
})

describe.each([
  ['without the C library', undefined],
  [
    'on a file system without locks',
    {
      lock: () => {
        throw Object.assign(new Error('flock failed: ENOLCK'), { code: 'ENOLCK' })
      },
    } as Partial<Libc> as Libc,
  ],
])('%s the pid decides', (_name, without) => {
  test('a live process keeps the store', async () => {
    const folder = await temporaryFolder()
    writeFileSync(join(folder, 'lock'), `${process.ppid}\n`)
    expect(() => lockStore(folder, without)).toThrow(`in use by process ${process.ppid};`)
  })

  test.each([
    ['a dead process', `${deadPid}\n`],
    ['this process in an earlier life', `${process.pid}\n`],
    ['nobody', ''],
    ['what is no pid', 'hello'],
  ])('%s does not', async (_holder, text) => {
    const folder = await temporaryFolder()
    writeFileSync(join(folder, 'lock'), text)
    const lock = lockStore(folder, without)
    expect(readFileSync(join(folder, 'lock'), 'utf8')).toBe(`${process.pid}\n`)
    lock.release()
    expect(readFileSync(join(folder, 'lock'), 'utf8')).toBe('')
  })
})
