/**
 * @module Vitest's setup of suites that are recorded: with `FASTREGISTRY_RECORD=FOLDER` every store of a
 * server in the test's own process leaves its history there, for `test/solo/history.test.ts`.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, vi } from 'vitest'
import { HistoryWriter } from './history-file.ts'

const writers = new Map<string, HistoryWriter>()

vi.mock('../../src/storage/open.ts', async (load) => {
  const original = await load<typeof import('../../src/storage/open.ts')>()
  const openStorage: typeof original.openStorage = async (options, life) => {
    const { path } = options
    // What began elsewhere, as a restored backup, has rows that no transaction made.
    const isNew = !existsSync(join(path, 'meta'))
    const storage = await original.openStorage(options, life)
    const writer = writers.get(path) ?? (isNew ? startWriter(path) : undefined)
    if (writer === undefined) return storage
    const { metadata } = storage
    const commit = metadata.commit.bind(metadata)
    metadata.commit = (it) => {
      writer.add(it)
      return commit(it)
    }
    return storage
  }
  return { ...original, openStorage }
})

function startWriter(path: string): HistoryWriter {
  const folder = process.env['FASTREGISTRY_RECORD']!
  mkdirSync(folder, { recursive: true })
  const name = createHash('sha256').update(`${process.pid} ${path}`).digest('hex').slice(0, 24)
  const writer = new HistoryWriter(join(folder, name))
  writers.set(path, writer)
  return writer
}

afterAll(() => {
  for (const writer of writers.values()) writer.flush()
})
