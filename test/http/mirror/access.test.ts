/**
 * @module Rules over mirrored content: what upstream gave us is not for everybody, whatever the
 * dialect in which it is asked for, stored or not.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { basic, htpasswd } from '../../support/access.ts'
import { FaultyUpstream } from '../../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'
import { imageManifest, sha256, someBytes } from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-mirror-users-'))
const file = join(folder, 'htpasswd')
const layer = someBytes(200_000, 5)
const alice = basic('alice', 'alice-secret')
const mallory = basic('mallory', 'mallory-secret')

const upstream = new FaultyUpstream()
let registry: InProcessRegistry

beforeAll(async () => {
  writeFileSync(file, htpasswd({ alice: 'alice-secret', mallory: 'mallory-secret' }))
  await upstream.start()
  for (const repository of ['team/private', 'library/public']) {
    upstream.addBlob(repository, layer)
    upstream.addManifest(repository, 'v1', manifestOf(repository))
    upstream.addReferrers(repository, sha256(manifestOf(repository)), [])
  }
  registry = await startInProcess({
    engine: 'uws',
    config: {
      auth: { type: 'htpasswd', htpasswd_file: file },
      access: [
        { repositories: ['hub/team/**'], users: ['alice'], actions: ['pull', 'list'] },
        { repositories: ['open/**'], users: ['mallory'], actions: ['pull', 'list'] },
      ],
    },
    mirrors: [
      { name: 'hub', upstream: upstream.url, root: true, root_allow: ['**'] },
      { name: 'open', upstream: upstream.url, anonymous_pull: ['127.0.0.0/8'] },
      { name: 'far', upstream: upstream.url, anonymous_pull: ['10.0.0.0/8'] },
    ],
  })
})
afterAll(async () => {
  await dispose(registry)
  await upstream.stop()
  rmSync(folder, { recursive: true, force: true })
})

function manifestOf(seed: string): string {
  const descriptor = { mediaType: 'application/x', digest: sha256(layer), size: layer.length }
  return JSON.stringify(imageManifest(descriptor, [descriptor], { annotations: { seed } }))
}

const digest = sha256(manifestOf('team/private'))

/** Every dialect of every question: by prefix, by `ns`, by the name at the root. */
const secret = [
  '/v2/hub/team/private/manifests/v1',
  `/v2/hub/team/private/blobs/${sha256(layer)}`,
  '/v2/team/private/manifests/v1',
  '/v2/team/private/manifests/v1?ns=hub',
  `/v2/team/private/blobs/${sha256(layer)}?ns=hub`,
  `/v2/hub/team/private/manifests/${digest}`,
  `/v2/team/private/manifests/${digest}?ns=hub`,
  ...['/v2/hub/team/private', '/v2/team/private'].flatMap((name) => [
    `${name}/tags/list`,
    `${name}/referrers/${digest}`,
  ]),
  '/v2/team/private/tags/list?ns=hub',
  `/v2/team/private/referrers/${digest}?ns=hub`,
]

describe('a mirrored private image', () => {
  test('is not fetched for whom the rules forbid it', async () => {
    for (const path of secret) {
      for (const headers of [{}, mallory]) {
        expect((await registry.client.get(path, headers)).status, path).toBe(401)
        expect((await registry.client.head(path, headers)).status, path).toBe(401)
      }
    }
    expect(upstream.asked).toEqual([])
  })

  test('is readable in every dialect by whom they allow it, and stays closed once it is stored', async () => {
    for (const path of secret) {
      expect((await registry.client.get(path, alice)).status, path).toBe(200)
      // Answered from what was prepared for her, by now.
      expect((await registry.client.get(path, alice)).status, path).toBe(200)
      expect((await registry.client.get(path, mallory)).status, path).toBe(401)
      expect((await registry.client.get(path)).status, path).toBe(401)
    }
  })
})

describe('the catalog', () => {
  test('names a mirrored repository to whom the rules show it', async () => {
    const names = async (headers: Record<string, string>) => {
      const answer = await registry.client.get('/v2/_catalog', headers)
      return answer.status === 200
        ? (answer.json as { repositories: string[] }).repositories
        : answer.status
    }
    expect(await names(alice)).toEqual(['hub/team/private'])
    expect(await names(mallory)).toEqual([])
    expect(await names({})).toBe(401)
  })
})

describe('anonymous_pull', () => {
  test('opens a mirror to its networks, for pulls alone', async () => {
    const path = '/v2/open/library/public/manifests/v1'
    expect((await registry.client.get(path)).status).toBe(200)
    expect((await registry.client.delete(path)).status).toBe(401)
    expect((await registry.client.get(path.replace('open', 'far'))).status).toBe(401)
    expect((await registry.client.get(path.replace('open', 'hub'))).status).toBe(401)
  })
})
