/**
 * @module The first copy of many images that share layers: each distinct blob comes once, however many
 * repositories and tags want it at the same time. Memory and delays of it are rows of the bench.
 */
import { afterEach, expect, test } from 'vitest'
import { contentOf, Seeded } from '../../crash/support/seeded.ts'
import { dispose, ENGINES, startInProcess } from '../../support/in-process.ts'
import { QuayStandIn } from '../../support/quay/stand-in.ts'
import { pushToQuay } from '../../support/sync-server.ts'

const images = 150
const repositories = 25
const sharedLayers = 12

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

test.each(ENGINES)('every distinct blob is fetched once (%s)', async (engine) => {
  const quay = await new QuayStandIn().start()
  open.push(() => quay.stop())
  const chance = new Seeded('first copy')
  for (let number = 0; number < images; number += 1) {
    const layers = Array.from({ length: 5 }, (_, at) => {
      const isShared = at < 2 + (number % 2)
      const name = isShared ? `shared ${chance.between(1, sharedLayers)}` : `own ${number} ${at}`
      return contentOf(name, 3_000).toString('base64')
    })
    pushToQuay(quay, `org/r${number % repositories}`, `v${number}`, layers)
  }
  const blobs = new Set(
    [...quay.model.repositories.values()].flatMap((one) => [...one.blobs.keys()]),
  )
  // Long enough for the others to want the same.
  quay.switches.delayMs = (of) => (of === 'storage' ? 3 : 0)
  const source = {
    name: 'quay',
    type: 'quay',
    url: quay.url,
    organizations: ['org'],
    mode: 'manual',
  }
  const registry = await startInProcess({ engine, config: { sync: { sources: [source] } } })
  open.push(() => dispose(registry))
  const started = await registry.syncs.trigger('quay', { by: 'test' })
  if (started.kind !== 'started') throw new Error(started.kind)
  await started.ended
  const { lastResult, counts, failures } = registry.syncs.status('quay')!
  expect({ lastResult, failures }).toEqual({ lastResult: 'ok', failures: [] })
  expect(counts.copied).toBe(images)
  const fetched = quay.asked
    .filter(({ of }) => of === 'storage')
    .map(({ url }) => /sha256:[0-9a-f]{64}/.exec(url)![0])
  expect(new Set(fetched)).toEqual(blobs)
  expect(fetched.length, 'blobs that came more than once').toBe(blobs.size)
  // And a challenge for each repository, at most.
  expect(quay.count('manifests')).toBeLessThanOrEqual(images + repositories)
  expect(registry.faults).toEqual([])
})
