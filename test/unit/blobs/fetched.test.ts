/**
 * @module Blobs that come from elsewhere into a store in files: what is on the disk, in which order, and what is left
 * when something fails.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { writeFetched } from '../../../src/blobs/files/fetched.ts'
import { blobPath, blobPaths } from '../../../src/blobs/files/layout.ts'
import { digestOf } from '../../../src/registry/hasher.ts'
import { disk } from '../../../src/runtime/disk.ts'

const bytes = Buffer.from('some bytes')
const digest = digestOf('sha256', bytes)
const whole = { ...disk }

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fastregistry-fetched-'))
})
afterEach(() => {
  Object.assign(disk, whole)
  rmSync(folder, { recursive: true, force: true })
})

const write = () => writeFetched(folder, digest, bytes.length, async (onChunk) => onChunk(bytes))

test('the first blob of a folder has its folders on the disk, and then its name', async () => {
  const calls: string[] = []
  disk.flushFolder = async (path) => {
    calls.push(relative(folder, path))
    await whole.flushFolder(path)
  }
  await write()
  expect(await readFile(blobPath(blobPaths(folder), digest))).toEqual(bytes)
  const shard = join('blobs', 'sha256', digest.slice(7, 9))
  expect(calls).toEqual([join('blobs', 'sha256'), 'blobs', shard])
  await write()
  expect(calls.slice(3)).toEqual([shard])
})

test('what the disk cannot keep is refused, and nothing is left half', async () => {
  disk.flushFolder = async () => {
    throw Object.assign(new Error('EIO'), { code: 'EIO', syscall: 'fsync' })
  }
  await expect(write()).rejects.toMatchObject({ code: 'EIO' })
  expect(await readdir(join(folder, 'uploads'))).toEqual([])
})
