/** @module What a plan remembers of the manifests that it removes. */
import { expect, test } from 'vitest'
import { PlannedManifests } from '../../../src/gc/plan/planned.ts'
import { sha256 } from '../../support/registry-client.ts'

test('knows each manifest in its own repository, and no other', () => {
  const planned = new PlannedManifests()
  const repositories = Array.from({ length: 50 }, (_, index) => `team-${index % 7}/app${index}`)
  const digests = Array.from({ length: 200 }, (_, index) => sha256(`manifest ${index}`))
  const isPlanned = (repository: number, digest: number) => (repository + digest) % 3 === 0
  const each = function* () {
    for (const repository of repositories.keys()) {
      for (const digest of digests.keys()) yield [repository, digest] as const
    }
  }
  for (const [repository, digest] of each()) {
    if (isPlanned(repository, digest)) planned.add(repositories[repository]!, digests[digest]!)
  }
  for (const [repository, digest] of each()) {
    const has = planned.has(repositories[repository]!, digests[digest]!)
    expect(has).toBe(isPlanned(repository, digest))
  }
})

test('tells apart digests that differ in one character of their last 13', () => {
  const planned = new PlannedManifests()
  const digest = sha256('manifest')
  planned.add('a', digest)
  for (let place = 1; place <= 13; place += 1) {
    const other = digest.at(-place) === '0' ? '1' : '0'
    const changed = digest.slice(0, -place) + other + digest.slice(digest.length - place + 1)
    expect(planned.has('a', changed)).toBe(false)
  }
  expect(planned.has('a', digest)).toBe(true)
})
