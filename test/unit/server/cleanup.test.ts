import { expect, test } from 'vitest'
import { stringify } from 'yaml'
import { loadConfigText } from '../../../src/config/load.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import { LifeCycle } from '../../../src/runtime/life-cycle.ts'
import { makeCleanup } from '../../../src/server/cleanup.ts'
import { makeUseCases } from '../../../src/server/use-cases.ts'
import { openGate } from '../../../src/signing/gate.ts'
import { openStore, temporaryFolder } from '../../support/store.ts'

test('the status reports the last collection as its job is now, not as it was last written', async () => {
  const path = await temporaryFolder()
  const { storage } = await openStore(path)
  const config = await loadConfigText(stringify({ storage: { path } }), 'test.yaml')
  const life = new LifeCycle()
  const useCases = makeUseCases(config, storage, {
    readManifest: () => Promise.reject(new Error('no manifest is read here')),
    onFileInDoubt: () => undefined,
    gate: openGate,
    life,
  })
  const logger = createLogger('error', { write: () => undefined })
  const cleanup = makeCleanup(config, {
    storage,
    useCases,
    logger,
    isMirrored: () => false,
    life,
  })
  let end = () => {}
  const { ended } = await useCases.writes.jobs.start('gc', 'test', async (job) => {
    job.update({ tags: 3 })
    await new Promise<void>((resolve) => {
      end = resolve
    })
    return { state: 'done' }
  })
  expect(cleanup.status().lastJob).toMatchObject({ state: 'running', counts: { tags: 3 } })
  // The disk does not take the end; the job has one all the same.
  const commit = storage.metadata.commit.bind(storage.metadata)
  storage.metadata.commit = () => Promise.reject(new Error('the disk is full'))
  end()
  await ended
  expect(cleanup.status().lastJob).toMatchObject({ state: 'done', counts: { tags: 3 } })
  storage.metadata.commit = commit
  await life.close()
})
