/**
 * @module Runs of a sync, from the stand-in of Quay into a registry: what a first run brings, what a second
 * one costs, and what comes of tags that move, go, or are pushed here.
 */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { SyncRequest, SyncStatus } from '../../../src/sync/syncs.ts'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'
import { QuayStandIn } from '../../support/quay/stand-in.ts'
import { LONG_AGO, pushToQuay, signInQuay } from '../../support/sync-server.ts'

const open: (() => Promise<unknown>)[] = []
let quay: QuayStandIn

beforeEach(async () => {
  quay = await new QuayStandIn().start()
  open.push(() => quay.stop())
})
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

async function start(
  source: Readonly<Record<string, unknown>> = {},
  folder?: string,
): Promise<InProcessRegistry> {
  const registry = await startInProcess({
    engine: 'node',
    config: {
      sync: {
        sources: [
          {
            name: 'quay',
            type: 'quay',
            url: quay.url,
            organizations: ['org'],
            mode: 'manual',
            ...source,
          },
        ],
      },
    },
    ...(folder === undefined ? {} : { folder }),
  })
  open.push(() => dispose(registry))
  return registry
}

async function run(
  { syncs }: InProcessRegistry,
  request: Partial<SyncRequest> = {},
): Promise<SyncStatus> {
  const started = await syncs.trigger('quay', { by: 'test', ...request })
  if (started.kind !== 'started') throw new Error(started.kind)
  await started.ended
  return syncs.status('quay')!
}

async function digestHere(
  { client }: InProcessRegistry,
  repository: string,
  tag: string,
): Promise<string | undefined> {
  const answer = await client.head(`/v2/${repository}/manifests/${tag}`)
  return answer.status === 200 ? String(answer.headers['docker-content-digest']) : undefined
}

/** API and manifest requests since the last `forget`. */
const asked = () => quay.count('api') + quay.count('manifests') + quay.count('tags')

test('the first run brings every tag with what is attached, the second costs one request', async () => {
  const one = pushToQuay(quay, 'org/app', 'v1', ['a', 'b'])
  const two = pushToQuay(quay, 'org/app', 'v2', ['a', 'c'])
  const other = pushToQuay(quay, 'org/tool', 'latest', ['a'])
  signInQuay(quay, 'org/app', two, LONG_AGO + 10)
  const registry = await start()

  const first = await run(registry)
  expect(first).toMatchObject({
    lastResult: 'ok',
    state: 'idle',
    isListingComplete: true,
    failures: [],
    counts: { copied: 3, failed: 0 },
    progress: { totalRepositories: 2, syncedRepositories: 2, totalTags: 3, syncedTags: 3 },
  })
  expect(first.counts.referrers_updated).toBeGreaterThan(0)
  expect(await digestHere(registry, 'org/app', 'v1')).toBe(one)
  expect(await digestHere(registry, 'org/app', 'v2')).toBe(two)
  expect(await digestHere(registry, 'org/tool', 'latest')).toBe(other)
  expect(await digestHere(registry, 'org/app', `${two.replace(':', '-')}.sig`)).toBeDefined()
  // The layer that all of them have came once.
  expect(quay.count('storage')).toBe(new Set(['a', 'b', 'c', '{}', 'signature']).size)

  quay.forget()
  const second = await run(registry)
  expect(second).toMatchObject({
    lastResult: 'ok',
    counts: { copied: 0, unchanged: 0 },
    progress: { totalRepositories: 2, totalTags: 0 },
  })
  expect(quay.count('manifests')).toBe(0)
  expect(asked()).toBe(1)
  expect(registry.faults).toEqual([])
})
