/** @module Jobs: which of them runs, by what they say themselves. */
import { expect, test } from 'vitest'
import { Jobs } from '../../../src/jobs/jobs.ts'
import type { Transaction } from '../../../src/metadata/transaction.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'

test('a job that says that it has ended keeps no other from starting, while its end is written', async () => {
  const metadata = new MemoryMetadataStore()
  const jobs = new Jobs(metadata, new FakeClock())
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const { id, ended } = await jobs.start('gc', 'me', async () => {
    const commit = metadata.commit.bind(metadata)
    metadata.commit = async (it: Transaction) => {
      await held
      return commit(it)
    }
    return { state: 'done' }
  })
  while (jobs.get(id)?.state === 'running') await null
  expect([jobs.get(id)?.state, jobs.running('gc')]).toEqual(['done', undefined])
  release()
  await ended
  expect(metadata.get('jobs', id)?.state).toBe('done')
})

test('one that runs is named until then', async () => {
  const jobs = new Jobs(new MemoryMetadataStore(), new FakeClock())
  let end: () => void = () => undefined
  const { id, ended } = await jobs.start('gc', 'me', async () => {
    await new Promise<void>((resolve) => {
      end = resolve
    })
    return { state: 'done' }
  })
  expect([jobs.running('gc'), jobs.running('sync')]).toEqual([id, undefined])
  end()
  await ended
  expect(jobs.running('gc')).toBeUndefined()
})
