/**
 * @module The fingerprint of a filter: it changes with everything that selects or maps, and with nothing else.
 */
import { expect, test } from 'vitest'
import type { SyncSourceConfig } from '../../../../src/config/config.ts'
import { fingerprintOf } from '../../../../src/sync/selection/fingerprint.ts'
import { load } from '../../config/load-text.ts'

const base = [
  'type: dockerhub, url: "https://a.test"',
  'organizations: [a, b], repositories: [c/d, c/e], exclude_repositories: [x, y]',
  'platforms: [linux/amd64, linux/arm64]',
  'tags: { include: [v, w], exclude: [r, s] }',
].join(', ')

async function source(keys: string, name = 'a'): Promise<SyncSourceConfig> {
  const text = `sync:\n  sources:\n    - { name: ${name}, ${keys} }\n`
  return (await load(text)).sync.sources[0]!
}

test.each([
  ['the order of lists', base.replace('a, b', 'b, a').replace('c/d, c/e', 'c/e, c/d')],
  ['the order of patterns', base.replace('v, w', 'w, v').replace('r, s', 's, r')],
  ['the order of platforms', base.replace('linux/amd64, linux/arm64', 'linux/arm64, linux/amd64')],
  ['an item that is there twice', base.replace('[a, b]', '[a, b, a]')],
  ['credentials', `${base}, username: u, password: p`],
  ['times', `${base}, schedule: "* * * * *", full_every: 1h`],
  ['limits', `${base}, concurrency: 50, bytes_per_second: 1MiB`],
  ['what happens to a tag that is here', `${base}, overwrite: true, on_change: keep`],
])('is the same whatever is said of %s', async (_what, keys) => {
  expect(fingerprintOf(await source(keys))).toBe(fingerprintOf(await source(base)))
})

test('is the same under another name of the source', async () => {
  expect(fingerprintOf(await source(base, 'b'))).toBe(fingerprintOf(await source(base)))
})

test('is another one for each key that selects or maps', async () => {
  const keys = [
    base,
    base.replace('dockerhub', 'harbor'),
    base.replace('a.test', 'b.test'),
    `${base}, api: "https://hub.test"`,
    base.replace('[a, b]', '[a]'),
    base.replace('[c/d, c/e]', '[c/d]'),
    base.replace('[x, y]', '[x]'),
    base.replace('[v, w]', '[v]'),
    base.replace('[r, s]', '[r]'),
    base.replace('[linux/amd64, linux/arm64]', '[linux/amd64]'),
    ...['semver: ">=1"', 'newest: 1', 'max_age: 1s', 'min: 1'].map((key) =>
      base.replace('exclude: [r, s]', `exclude: [r, s], ${key}`),
    ),
    `${base}, destination: d`,
    `${base}, strip: d`,
    `${base}, sync_signatures: false`,
    `${base}, sync_sboms: false`,
    `${base}, referrers: false, sync_signatures: true, sync_sboms: true`,
  ]
  const all = await Promise.all(keys.map(async (one) => fingerprintOf(await source(one))))
  expect(new Set(all).size).toBe(keys.length)
  for (const one of all) expect(one).toMatch(/^[0-9a-f]{32}$/)
})

test('does not take two lists for one', async () => {
  const one = base.replace('include: [v, w], exclude: [r, s]', 'include: [v, w, r], exclude: [s]')
  expect(fingerprintOf(await source(one))).not.toBe(fingerprintOf(await source(base)))
})
