/**
 * @module A disk that refuses in the middle of a collection: nothing that is kept is lost, the run
 * says what happened, and what it could not do is done by the next one.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { admin, collect, pushOwnImage, type Run } from '../support/admin.ts'
import { FaultyRegistry } from './faulty-registry.ts'

let faulty: FaultyRegistry
beforeAll(async () => {
  faulty = await FaultyRegistry.start({
    storage: { gc: { enabled: false, grace: '0s', undelete_window: '0s', keep_recent: 0 } },
    log: { access: false },
  })
})
afterAll(async () => {
  expect(await faulty.stop()).toBe(0)
})

/** A kept image and some that are garbage, with layers that are files. */
async function fill(name: string) {
  const { client } = faulty
  const kept = await pushOwnImage(client, `full/${name}`, 'kept', `kept ${name}`)
  const gone: string[] = []
  for (let number = 0; number < 4; number += 1) {
    const image = await pushOwnImage(client, `full/${name}`, 'moving', `${name} ${number}`)
    gone.push(image.layer.digest)
  }
  await client.delete(`/v2/full/${name}/manifests/moving`)
  return { kept, gone }
}

const runOnce = async (): Promise<Run['job']> => {
  const answer = await admin(faulty.client, 'POST', '/admin/gc', { wait: true })
  expect(answer.status, answer.text).toBe(200)
  return (answer.json as Run).job
}

async function isWhole(name: string, kept: Awaited<ReturnType<typeof fill>>['kept']) {
  const { client } = faulty
  expect((await client.get(`/v2/full/${name}/manifests/kept`)).text).toBe(kept.body)
  const layer = await client.get(`/v2/full/${name}/blobs/${kept.layer.digest}`)
  expect(layer.text).toBe(`layer kept ${name} `.repeat(10_000))
}

describe.each([
  ['rename', 'ENOSPC'],
  ['makeFolder', 'ENOSPC'],
  ['unlink', 'EIO'],
])('%s fails with %s while files go', (call, errno) => {
  test('they stay where they are, without a row, and go with a later run', async () => {
    const name = `${call.toLowerCase()}`
    const { kept, gone } = await fill(name)
    await faulty.break({ call, kind: 'error', errno }, 100)
    const job = await runOnce()
    expect(await faulty.mend()).toBeLessThan(100)
    expect(job.state, job.message).toBe('done')
    await isWhole(name, kept)
    // Somebody pushes one of them again, in the middle of it.
    const again = await pushOwnImage(faulty.client, `full/${name}`, 'again', `${name} 0`)
    expect(again.layer.digest).toBe(gone[0])
    await collect(faulty.client)
    await isWhole(name, kept)
    const layer = await faulty.client.get(`/v2/full/${name}/blobs/${gone[0]}`)
    expect(layer.text).toBe(`layer ${name} 0 `.repeat(10_000))
    for (const digest of gone.slice(1)) {
      expect((await faulty.client.get(`/v2/full/${name}/blobs/${digest}`)).status).toBe(404)
    }
  })
})

test('a metadata disk that is full fails the run, and the next one does all of it', async () => {
  const { kept } = await fill('rows')
  // The job's own row, then a batch of the sweep: wherever the disk fills, nothing is half done.
  for (const passes of [0, 1, 2, 3, 4, 5]) {
    await faulty.break({ call: 'writeSync', kind: 'error', errno: 'ENOSPC' }, 3, passes)
    const answer = await admin(faulty.client, 'POST', '/admin/gc', { wait: true })
    await faulty.mend()
    expect([200, 507]).toContain(answer.status)
    if (answer.status === 200) {
      expect(['failed', 'done']).toContain((answer.json as Run).job.state)
    }
    await isWhole('rows', kept)
  }
  await collect(faulty.client)
  await isWhole('rows', kept)
  const { plan } = await collect(faulty.client, { dryRun: true })
  const items = await faulty.client.get(`/admin/gc/plans/${plan}/items`)
  expect(items.json).toMatchObject({ items: [] })
})
