/**
 * @module What belongs to an image goes where the image goes, and whatever a delete takes comes back:
 * copies, renames, undeletes, with signatures by subject and by tag, of children and of signatures.
 */
import { expect, test } from 'vitest'
import { mediaTypes } from '../../src/registry/media-type.ts'
import { admin, adminJson, collect } from '../support/admin.ts'
import { image, named, put, signature } from '../support/attached.ts'
import { describeRegistry, type InProcessRegistry } from '../support/in-process.ts'
import {
  type Descriptor,
  imageIndex,
  imageManifest,
  inByteOrder,
  type RegistryClient,
  sha256,
} from '../support/registry-client.ts'

const config = { storage: { gc: { grace: '0s', undelete_window: '1h', keep_recent: 0 } } }

const status = async (client: RegistryClient, path: string) => (await client.get(path)).status
const tagsOf = async (client: RegistryClient, repository: string) =>
  ((await client.get(`/v2/${repository}/tags/list`)).json as { tags: string[] }).tags

/** An index of two images, with signatures and lists of every kind on each level. */
async function signedIndex(client: RegistryClient, repository: string) {
  const children = [
    await image(client, repository, 'amd64'),
    await image(client, repository, 'arm64'),
  ]
  const index = await put(client, repository, imageIndex(children), '1')
  const bySubject = await image(client, repository, 'sbom', undefined, { subject: index })
  const byTag = await signature(client, repository, index)
  const ofChild = await signature(client, repository, children[0]!)
  const ofSignature = await signature(client, repository, byTag)
  const list = await put(client, repository, imageIndex([bySubject]), named(index.digest))
  const manifests = [index, ...children, bySubject, byTag, ofChild, ofSignature, list]
  return {
    index,
    manifests,
    tags: [
      `${named(index.digest)}.sig`,
      `${named(children[0]!.digest)}.sig`,
      `${named(byTag.digest)}.sig`,
      named(index.digest),
    ],
  }
}

interface Copied {
  readonly manifests: number
  readonly tags: readonly string[]
}

const copy = (client: RegistryClient, from: string, to: string, more: object = {}) =>
  adminJson<Copied>(client, 'POST', '/admin/copy', {
    from: { repository: from, reference: '1' },
    to: { repository: to, tag: '1' },
    ...more,
  })

describeRegistry('what belongs to an image', { engines: ['uws'], config }, (registry) => {
  test('goes along with a copy, and the answer lists the tags', async () => {
    const { client } = registry()
    const { manifests, tags } = await signedIndex(client, 'dev/app')
    const copied = await copy(client, 'dev/app', 'prod/app')
    expect([...copied.tags].sort(inByteOrder)).toEqual([...tags].sort(inByteOrder))
    expect(copied.manifests).toBe(manifests.length)
    expect((await tagsOf(client, 'prod/app')).sort(inByteOrder)).toEqual(
      ['1', ...tags].sort(inByteOrder),
    )
    for (const { digest } of manifests) {
      expect(await status(client, `/v2/prod/app/manifests/${digest}`), digest).toBe(200)
    }
    // What came along stays with it there.
    await client.delete('/v2/dev/app/manifests/1')
    await collect(client)
    for (const reference of ['1', ...tags]) {
      expect(await status(client, `/v2/prod/app/manifests/${reference}`), reference).toBe(200)
    }
  })

  test('stays behind when the copy is to be without referrers', async () => {
    const { client } = registry()
    await signedIndex(client, 'dev/plain')
    const copied = await copy(client, 'dev/plain', 'prod/plain', { referrers: false })
    expect(copied).toMatchObject({ manifests: 3, tags: [] })
    expect(await tagsOf(client, 'prod/plain')).toEqual(['1'])
  })

  test('a signature that was added at the target is not lost by copying again', async () => {
    const { client } = registry()
    const { index } = await signedIndex(client, 'dev/twice')
    await copy(client, 'dev/twice', 'prod/twice')
    const tag = `${named(index.digest)}.sig`
    const there = (await client.get(`/v2/prod/twice/manifests/${tag}`)).json as {
      config: Descriptor
      layers: Descriptor[]
    }
    const payload = await client.pushBlob('prod/twice', 'a signature of production')
    const own = { ...payload, mediaType: there.layers[0]!.mediaType }
    await put(client, 'prod/twice', imageManifest(there.config, [...there.layers, own]), tag)
    const again = await copy(client, 'dev/twice', 'prod/twice')
    expect(again.tags).not.toContain(tag)
    const { layers } = (await client.get(`/v2/prod/twice/manifests/${tag}`)).json as typeof there
    expect(layers).toHaveLength(2)
    // A signature that the target does not have yet comes along all the same.
    const more = await client.pushBlob('dev/twice', 'another signature of development')
    const layer = { ...more, mediaType: own.mediaType }
    const dev = imageManifest(await client.pushBlob('dev/twice', '{}'), [layer])
    await put(client, 'dev/twice', dev, tag)
    expect((await copy(client, 'dev/twice', 'prod/twice')).tags).toContain(tag)
  })

  test('is renamed with its repository', async () => {
    const { client } = registry()
    const { tags } = await signedIndex(client, 'old/name')
    const body = { to: 'new/name', wait: true }
    await adminJson(client, 'POST', '/admin/repositories/old/name/rename', body)
    expect((await tagsOf(client, 'new/name')).sort(inByteOrder)).toEqual(
      ['1', ...tags].sort(inByteOrder),
    )
  })

  test('comes back with an undelete after a collection', async () => {
    const { client } = registry()
    const { index, manifests, tags } = await signedIndex(client, 'team/back')
    await client.delete(`/v2/team/back/manifests/${index.digest}`)
    await collect(client)
    expect(await tagsOf(client, 'team/back')).toEqual([])
    await adminJson(client, 'POST', '/admin/undelete', { repository: 'team/back', tag: '1' })
    expect((await tagsOf(client, 'team/back')).sort(inByteOrder)).toEqual(
      ['1', ...tags].sort(inByteOrder),
    )
    for (const { digest } of manifests) {
      expect(await status(client, `/v2/team/back/manifests/${digest}`), digest).toBe(200)
    }
  })
})

interface Deleted {
  readonly kind: string
  readonly tag?: string
  readonly digest: string
  readonly by: string
  readonly why: string
}

const WAYS: [
  way: string,
  remove: (registry: InProcessRegistry, digest: string) => Promise<void>,
][] = [
  [
    'by digest',
    async ({ client }, digest) => void (await client.delete(`/v2/team/x/manifests/${digest}`)),
  ],
  [
    'tag by tag',
    async ({ client }) => {
      for (const tag of ['1', '2', 'latest']) await client.delete(`/v2/team/x/manifests/${tag}`)
    },
  ],
  [
    'with its repository',
    async ({ client }) => {
      await adminJson(client, 'DELETE', '/admin/repositories/team/x', { wait: true })
    },
  ],
  [
    'by a plan',
    async ({ client }) => {
      const body = { repositories: ['team/x'], tags: ['**'] }
      // A pull that is written down between plan and apply keeps its tag.
      while ((await tagsOf(client, 'team/x')).length > 0) {
        const { id } = await adminJson<{ id: string }>(client, 'POST', '/admin/gc/plans', body)
        await adminJson(client, 'POST', `/admin/gc/plans/${id}/apply`, { wait: true })
      }
    },
  ],
]

for (const [way, remove] of WAYS) {
  describeRegistry(`a tag that was deleted ${way}`, { engines: ['uws'], config }, (registry) => {
    const listed = async () =>
      (
        await adminJson<{ deleted: Deleted[] }>(
          registry().client,
          'GET',
          '/admin/repositories/team/x/deleted',
        )
      ).deleted

    test('is listed with who and why, and restored by its name and by its digest', async () => {
      const { client } = registry()
      const before = await image(client, 'team/x', 'before', 'latest')
      const { digest } = await image(client, 'team/x', 'now', 'latest')
      const text = (await client.get(`/v2/team/x/manifests/latest`)).body
      for (const tag of ['1', '2']) {
        await client.putManifest('team/x', tag, text, { 'Content-Type': mediaTypes.ociManifest })
      }
      const undelete = (what: object) =>
        adminJson(client, 'POST', '/admin/undelete', { repository: 'team/x', ...what })
      for (const by of ['tag', 'digest'] as const) {
        await remove(registry(), digest)
        const rows = (await listed()).filter(({ kind }) => kind === 'tag')
        expect(rows.map(({ tag }) => tag)).toEqual(['1', '2', 'latest'])
        for (const row of rows) {
          expect(row).toMatchObject({ digest, by: expect.any(String), why: expect.any(String) })
        }
        if (by === 'tag') {
          await undelete({ tag: '2' })
          // What went together comes back together.
          for (const tag of way === 'by digest' ? [] : ['1', 'latest']) await undelete({ tag })
        } else {
          await collect(client)
          await undelete({ digest })
          const tags = way === 'by digest' ? [] : ['1', '2', 'latest']
          for (const tag of tags) await undelete({ tag })
        }
        expect(await tagsOf(client, 'team/x')).toEqual(['1', '2', 'latest'])
        for (const tag of ['1', '2', 'latest']) {
          const answer = await client.get(`/v2/team/x/manifests/${tag}`)
          expect(sha256(answer.body)).toBe(digest)
        }
        expect((await listed()).filter(({ kind }) => kind === 'tag')).toEqual([])
      }
      // The history of a tag came back with it.
      const history = await adminJson<{ history: { digest: string }[] }>(
        client,
        'GET',
        '/admin/repositories/team/x/tags/latest',
      )
      expect(JSON.stringify(history)).toContain(before.digest)
      expect(
        (await admin(client, 'POST', '/admin/undelete', { repository: 'team/x', tag: 'no' }))
          .status,
      ).toBe(404)
    })
  })
}

describeRegistry('an undelete', { engines: ['uws'], config }, (registry) => {
  const foreign = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'
  const shapes: [string, (secret: Descriptor, config: Descriptor) => object][] = [
    ['a foreign layer', (secret, own) => imageManifest(own, [{ ...secret, mediaType: foreign }])],
    ['a manifest of a sparse index', (secret) => imageIndex([secret])],
    [
      'a mention',
      (secret, own) => ({ mediaType: 'application/x', config: own, at: secret.digest }),
    ],
  ]

  test.each(shapes)('links no blob of somebody else that it names as %s', async (at, shape) => {
    const { client } = registry()
    const secret = await client.pushBlob('secret/app', `secret of ${at}`)
    const own = await client.pushBlob('evil/app', '{}')
    const body = shape(secret, own) as { mediaType: string }
    const { digest } = await put(client, 'evil/app', body)
    for (const isSwept of [false, true]) {
      await client.delete(`/v2/evil/app/manifests/${digest}`)
      if (isSwept) {
        await client.delete(`/v2/secret/app/blobs/${secret.digest}`)
        await collect(client)
      }
      await adminJson(client, 'POST', '/admin/undelete', { repository: 'evil/app', digest })
      expect(await status(client, `/v2/evil/app/manifests/${digest}`)).toBe(200)
      expect(await status(client, `/v2/evil/app/blobs/${secret.digest}`)).toBe(404)
    }
  })

  test('brings a foreign layer back that was there', async () => {
    const { client } = registry()
    const layer = {
      ...(await client.pushBlob('own/app', 'foreign, and pushed')),
      mediaType: foreign,
    }
    const own = await client.pushBlob('own/app', '{}')
    const { digest } = await put(client, 'own/app', imageManifest(own, [layer]))
    await client.delete(`/v2/own/app/manifests/${digest}`)
    await collect(client)
    expect(await status(client, `/v2/own/app/blobs/${layer.digest}`)).toBe(404)
    await adminJson(client, 'POST', '/admin/undelete', { repository: 'own/app', digest })
    expect(await status(client, `/v2/own/app/blobs/${layer.digest}`)).toBe(200)
  })
})
