/**
 * @module What a run with nothing new costs: requests and work of the processor, from many repositories.
 */
import { afterEach, expect, test } from 'vitest'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'
import { QuayStandIn } from '../../support/quay/stand-in.ts'
import { pushToQuay } from '../../support/sync-server.ts'

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

const repositories = Number(process.env['FASTREGISTRY_SYNC_REPOSITORIES'] ?? 300)

test(`${repositories} repositories without news cost one request a hundred`, async () => {
  const quay = await new QuayStandIn().start()
  open.push(() => quay.stop())
  for (let number = 0; number < repositories; number += 1) {
    pushToQuay(quay, `org/r${number}`, 'v1', ['the one layer'])
  }
  const source = {
    name: 'quay',
    type: 'quay',
    url: quay.url,
    organizations: ['org'],
    mode: 'manual',
    referrers: false,
  }
  const registry: InProcessRegistry = await startInProcess({
    engine: 'node',
    config: { sync: { sources: [source] } },
  })
  open.push(() => dispose(registry))
  const run = async () => {
    const started = await registry.syncs.trigger('quay', { by: 'test' })
    if (started.kind !== 'started') throw new Error(started.kind)
    await started.ended
    return registry.syncs.status('quay')!
  }
  expect((await run()).counts.copied).toBe(repositories)
  // Every distinct blob once: the layer and the config.
  expect(quay.count('storage')).toBe(2)

  quay.forget()
  const before = process.cpuUsage()
  const { progress, lastResult } = await run()
  const { user, system } = process.cpuUsage(before)
  expect(lastResult).toBe('ok')
  expect(progress).toMatchObject({ totalRepositories: repositories, totalTags: 0 })
  expect(quay.count('manifests')).toBe(0)
  expect(quay.count('api')).toBe(Math.ceil(repositories / 100))
  // Of both ends: the stand-in is in this process, too. A hundred times less than a look at each.
  const milliseconds = (user + system) / 1_000
  expect(milliseconds).toBeLessThan(1_000 + repositories)
}, 300_000)
