/** Whom a node sends clients to: owners alone that are reached, and that clients reach. */
import { expect, test } from 'vitest'
import { parseDigest } from '../../../../src/registry/digest.ts'
import { parseRepositoryName } from '../../../../src/registry/name.ts'
import { unwrap } from '../../../../src/registry/result.ts'
import { MeshRedirects } from '../../../../src/server/mesh/redirects.ts'

const digest = unwrap(parseDigest(`sha256:${'a'.repeat(64)}`))
const repository = unwrap(parseRepositoryName('team/app'))
const blob = { repository, digest, sizeBytes: 2_000_000 }

async function node(owners: readonly number[], facts: Readonly<Record<number, string>>) {
  const state = { reached: [2, 3], hasCopy: false }
  const rows: Record<string, () => unknown> = {
    blobs: () => ({ place: 'file', sizeBytes: blob.sizeBytes }),
    copies: () => (state.hasCopy ? {} : undefined),
  }
  const client = (member: number) => ({
    get: async () =>
      Object.assign(
        (async function* () {
          yield Buffer.from(JSON.stringify({ url: facts[member] ?? '', more: 1 }))
        })(),
        { headers: {} },
      ),
  })
  const links = {
    get open() {
      return state.reached
    },
  }
  const redirects = new MeshRedirects({
    mesh: { advertiseUrl: '', redirect: ['127.0.0.0/8'] },
    member: 1,
    peers: { client, links } as never,
    care: { ownersOf: () => owners },
    metadata: { get: (table: string) => rows[table]!() } as never,
    key: () => Buffer.alloc(32, 1),
  })
  await redirects.start()
  redirects.close()
  const hosts = new Set<string | undefined>()
  const ask = () => {
    hosts.clear()
    for (let time = 0; time < 6; time += 1) {
      const location = redirects.locationOf('127.0.0.1', blob)
      hosts.add(location === undefined ? undefined : new URL(location).host)
    }
    return [...hosts].sort()
  }
  return { state, ask, redirects }
}

test('owners that are reached take turns', async () => {
  const { state, ask, redirects } = await node([1, 2, 3], { 2: 'http://b', 3: 'http://c' })
  expect(ask()).toEqual(['b', 'c'])
  state.reached = [3]
  expect(ask()).toEqual(['c'])
  state.reached = []
  expect(ask()).toEqual([undefined])
  state.reached = [2, 3]
  state.hasCopy = true
  expect(ask()).toEqual([undefined])
  state.hasCopy = false
  expect(redirects.locationOf('10.0.0.1', blob)).toBeUndefined()
  expect(redirects.locationOf('127.0.0.1', { ...blob, sizeBytes: 1_000_000 })).toBeUndefined()
})

test('no client is sent to a node that says no URL, or one that is none', async () => {
  expect((await node([2, 3], { 3: 'http://c' })).ask()).toEqual(['c'])
  const urls = { 2: 'http://b/path', 3: 'javascript:alert(1)' }
  expect((await node([2, 3], urls)).ask()).toEqual([undefined])
})
