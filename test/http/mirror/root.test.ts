/**
 * Bare paths where a mirror is at the root, and `ns`: who asks decides, not what is there; and nothing
 * of a push ever reaches an upstream.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { basic, htpasswd } from '../../support/access.ts'
import { FaultyUpstream } from '../../support/faulty-upstream.ts'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'
import { type Answer, imageManifest, sha256 } from '../../support/registry-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-root-'))
const file = join(folder, 'htpasswd')
writeFileSync(
  file,
  htpasswd({ alice: 'a-secret', puller: 'p-secret', nobody: 'n-secret', both: 'b-secret' }),
)
const alice = basic('alice', 'a-secret')
const puller = basic('puller', 'p-secret')
const nobody = basic('nobody', 'n-secret')
const both = basic('both', 'b-secret')

const upstream = new FaultyUpstream()
let registry: InProcessRegistry
let open: InProcessRegistry
const blob = Buffer.from('{"some":"config"}')
const config = { mediaType: 'application/x', digest: sha256(blob), size: blob.byteLength }
const image = JSON.stringify(imageManifest(config, []))
const theirs = JSON.stringify(imageManifest(config, [], { annotations: { of: 'upstream' } }))
const type = { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' }

const mirrors = [{ name: 'docker.io', upstream: '', root: true }]

async function push(to: InProcessRegistry, name: string, headers: Record<string, string>) {
  const { client } = to
  const upload = `/v2/${name}/blobs/uploads/?digest=${config.digest}`
  const posted = await client.request('POST', upload, { body: blob, headers })
  const put = await client.request('PUT', `/v2/${name}/manifests/v1`, {
    body: image,
    headers: { ...headers, ...type },
  })
  expect([posted.status, put.status]).toEqual([201, 201])
}

beforeAll(async () => {
  await upstream.start()
  for (const name of ['library/nginx', 'library/here', 'library/alice', 'home/nginx']) {
    upstream.addManifest(name, 'v1', theirs)
    upstream.addBlob(name, blob)
  }
  const settings = mirrors.map((it) => ({ ...it, upstream: upstream.url }))
  registry = await startInProcess({
    engine: 'uws',
    config: {
      auth: { type: 'htpasswd', htpasswd_file: file, tokens: { challenge: 'bearer' } },
      access: [
        {
          repositories: ['home/alice/**', 'library/alice', 'library/here'],
          users: ['alice'],
          actions: ['pull', 'push', 'list'],
        },
        { repositories: ['docker.io/**'], users: ['puller', 'both'], actions: ['pull', 'list'] },
        { repositories: ['library/**'], users: ['both'], actions: ['pull', 'list'] },
      ],
    },
    mirrors: settings,
  })
  await push(registry, 'library/here', alice)
  open = await startInProcess({ engine: 'uws', mirrors: settings })
})

beforeEach(() => {
  upstream.asked.length = 0
})

afterAll(async () => {
  await dispose(open)
  await dispose(registry)
  await upstream.stop()
  rmSync(folder, { recursive: true, force: true })
})

const get = (path: string, headers = {}) => registry.client.get(path, headers)
const manifestAt = (name: string, headers = {}) => get(`/v2/${name}/manifests/v1`, headers)

describe('a first push', () => {
  test.each(['home/alice/new', 'library/alice'])(
    'to %s is answered here, step by step, and upstream hears nothing of it',
    async (name) => {
      const { client } = registry
      const digest = `/v2/${name}/blobs/${config.digest}`
      expect((await client.head(digest, alice)).status).toBe(404)
      const posted = await client.request('POST', `/v2/${name}/blobs/uploads/`, { headers: alice })
      expect(posted.status).toBe(202)
      const session = posted.headers['location'] as string
      expect((await get(session, alice)).status).toBe(204)
      expect((await client.head(digest, alice)).status).toBe(404)
      expect((await manifestAt(name, alice)).status).toBe(404)
      expect((await get(`/v2/${name}/tags/list`, alice)).status).toBe(404)
      await client.request('DELETE', session, { headers: alice })
      await push(registry, name, alice)
      expect((await client.head(digest, alice)).status).toBe(200)
      expect(upstream.asked).toEqual([])
    },
  )

  test('in an open registry is answered here from its first session on', async () => {
    const { client } = open
    const path = `/v2/library/nginx/blobs/${sha256('nothing of upstream’s')}`
    const session = `/v2/library/nginx/blobs/uploads/`
    const posted = await client.request('POST', session, {})
    expect((await client.get(posted.headers['location'] as string)).status).toBe(204)
    expect((await client.head(path)).status).toBe(404)
    expect(upstream.asked).toEqual([])
    await client.delete(posted.headers['location'] as string)
    expect((await client.head(path)).status).toBe(404)
    expect(upstream.count('HEAD', '/library/nginx/blobs/')).toBe(1)
    expect((await client.head(`/v2/home/new/blobs/${config.digest}`)).status).toBe(404)
    expect((await client.get('/v2/home/nginx/manifests/v1')).status).toBe(404)
    expect((await client.get('/v2/library/nginx/manifests/v1')).text).toBe(theirs)
  })
})

describe('who may know', () => {
  test('the mirror alone gets its answer, whether or not there is a local one', async () => {
    for (const name of ['library/nginx', 'library/here']) {
      const answer = await manifestAt(name, puller)
      expect([answer.status, answer.text], name).toEqual([200, theirs])
    }
    expect((await manifestAt('library/absent', puller)).status).toBe(404)
    // The same once the local one was answered to somebody, and is prepared.
    expect((await manifestAt('library/here', alice)).text).toBe(image)
    expect((await manifestAt('library/here', alice)).text).toBe(image)
    expect((await manifestAt('library/here', puller)).text).toBe(theirs)
  })

  test('both gets the local one where there is one', async () => {
    expect((await manifestAt('library/here', both)).text).toBe(image)
    expect((await manifestAt('library/nginx', both)).text).toBe(theirs)
  })

  test('neither gets one answer for all that is, is not, or is elsewhere', async () => {
    const asOne = (answer: Answer, name: string) => ({
      status: answer.status,
      challenge: String(answer.headers['www-authenticate']).replaceAll(name, 'NAME'),
      body: answer.text.replace(/"requestId":"[^"]*"/, '').replaceAll(name, 'NAME'),
      namespace: answer.headers['oci-namespace'],
    })
    for (const headers of [{}, nobody]) {
      for (const tail of ['manifests/v1', `blobs/${config.digest}`, 'tags/list']) {
        const answers = await Promise.all(
          ['library/here', 'library/nginx', 'library/absent'].map(async (name) =>
            asOne(await get(`/v2/${name}/${tail}`, headers), name),
          ),
        )
        expect(answers[0]!.status).toBe(401)
        expect(answers[1]).toEqual(answers[0])
        expect(answers[2]).toEqual(answers[0])
      }
      const named = await Promise.all(
        ['docker.io', 'other.test', 'other.test:5000'].map(async (ns) => {
          const answer = await get(`/v2/library/nginx/manifests/v1?ns=${ns}`, headers)
          return { status: answer.status, body: asOne(answer, ns).body }
        }),
      )
      expect(named.map(({ status }) => status)).toEqual([401, 401, 401])
      expect(named[1]).toEqual(named[0])
    }
    expect(upstream.asked).toEqual([])
  })

  test('a challenge for a name that may be the mirror’s names both scopes', async () => {
    const { headers } = await manifestAt('library/nginx')
    const challenge = String(headers['www-authenticate'])
    expect(challenge).toContain(
      'repository:library/nginx:pull repository:docker.io/library/nginx:pull',
    )
    const elsewhere = await manifestAt('home/alice/x')
    expect(String(elsewhere.headers['www-authenticate'])).not.toContain('docker.io')
  })

  test('somebody who may pull what is not mirrored is told that it is not', async () => {
    const answer = await open.client.get('/v2/library/nginx/manifests/v1?ns=other.test')
    expect(answer.status).toBe(404)
    expect(answer.text).toContain('does not mirror')
  })
})
