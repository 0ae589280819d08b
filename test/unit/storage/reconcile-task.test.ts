import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { MessageChannel } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { blobPath, blobPaths } from '../../../src/blobs/files/layout.ts'
import { storeSetup } from '../../../src/storage/setup.ts'
import { reconcile } from '../../../src/storage/worker/reconcile-task.ts'
import { digestOfText, openStore, temporaryFolder } from '../../support/store.ts'

test('the walk ends when its port closes before it has begun', async () => {
  const folder = await temporaryFolder()
  const { storage } = await openStore(folder)
  await storage.close()
  const path = blobPath(blobPaths(folder), digestOfText('left behind'))
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, 'left behind')
  const { port1, port2 } = new MessageChannel()
  const walk = { checksUploads: false, blobsSince: 0, checksRows: false, isPaced: false }
  const ended = reconcile({ port: port2, setup: storeSetup(folder), ...walk })
  // A stop in the first moments of a server. Nobody answers a finding any more.
  port1.close()
  const late = new Promise((resolve) => setTimeout(resolve, 5_000, 'late'))
  expect(await Promise.race([ended.then(() => 'ended'), late])).toBe('ended')
})
