/**
 * @module What a collection must not take, through the front door: whatever a tag points at, however the
 * tag is named, and whatever a manifest of any type refers to.
 */
import { describe, expect, test } from 'vitest'
import { mediaTypes } from '../../../src/registry/media-type.ts'
import { collect } from '../../support/admin.ts'
import { image, named, put, signature } from '../../support/attached.ts'
import { describeRegistry } from '../../support/in-process.ts'
import { type Descriptor, imageIndex, imageManifest } from '../../support/registry-client.ts'

const config = { storage: { gc: { grace: '0s', undelete_window: '0s', keep_recent: 1 } } }

const SUFFIXES = ['', '.sig', '.att', '.sbom', '.imgpkg', '.image-locations.imgpkg', '-x', '_y.z']

describeRegistry('a tag that is named after a digest', { engines: ['uws'], config }, (registry) => {
  let count = 0
  const repository = () => `team/named-${count++}`
  const status = async (repository: string, reference: string) =>
    (await registry().client.get(`/v2/${repository}/manifests/${reference}`)).status
  const explained = async (repository: string, tag: string) => {
    const answer = await registry().client.get(`/admin/explain?of=${repository}:${tag}`)
    expect(answer.status, answer.text).toBe(200)
    return (answer.json as { verdicts: { stays: boolean; reason: string }[] }).verdicts[0]
  }

  test.each(SUFFIXES)('keeps its own image: sha256-H%s', async (suffix) => {
    const { client } = registry()
    const name = repository()
    const { digest } = await image(client, name, `own ${suffix}`)
    await client.request('PUT', `/v2/${name}/manifests/${named(digest)}${suffix}`, {
      headers: { 'Content-Type': mediaTypes.ociManifest },
      body: (await client.get(`/v2/${name}/manifests/${digest}`)).body,
    })
    await collect(client)
    expect(await status(name, digest)).toBe(200)
    expect(await status(name, `${named(digest)}${suffix}`)).toBe(200)
    expect(await explained(name, `${named(digest)}${suffix}`)).toMatchObject({ stays: true })
  })

  test.each(SUFFIXES)(
    'keeps an image that is none of its referrers: sha256-H%s',
    async (suffix) => {
      const { client } = registry()
      const name = repository()
      const subject = await image(client, name, `subject ${suffix}`, 'v1')
      const tag = `${named(subject.digest)}${suffix}`
      const other = await image(client, name, `other ${suffix}`, tag)
      await client.delete(`/v2/${name}/manifests/${subject.digest}`)
      await collect(client)
      expect(await status(name, tag)).toBe(200)
      expect(await status(name, other.digest)).toBe(200)
      expect(await explained(name, tag)).toMatchObject({ stays: true })
    },
  )

  test('keeps an index that is tagged after itself, or after one of its children', async () => {
    const { client } = registry()
    const name = repository()
    const children = [await image(client, name, 'one'), await image(client, name, 'two')]
    const index = await put(client, name, imageIndex(children))
    const text = JSON.stringify(imageIndex(children))
    for (const { digest } of [index, children[1]!]) {
      await client.putManifest(name, named(digest), text, { 'Content-Type': index.mediaType })
    }
    await client.delete(`/v2/${name}/manifests/${named(index.digest)}`)
    await collect(client)
    for (const { digest } of [index, ...children]) expect(await status(name, digest)).toBe(200)
  })

  test('keeps a ring of images that are tagged after each other', async () => {
    const { client } = registry()
    const name = repository()
    const images: Descriptor[] = []
    const bodies: object[] = []
    for (const seed of ['a', 'b', 'c']) {
      const config = await client.pushBlob(name, `{"seed":"${seed}"}`)
      const layer = await client.pushBlob(name, `payload ${seed}`)
      const mediaType = 'application/vnd.dev.cosign.simplesigning.v1+json'
      bodies.push(imageManifest(config, [{ ...layer, mediaType }]))
      images.push(await put(client, name, bodies.at(-1)!))
    }
    for (const [place, { digest }] of images.entries()) {
      await put(client, name, bodies[(place + 1) % 3]!, `${named(digest)}.sig`)
    }
    await collect(client)
    for (const { digest } of images) expect(await status(name, digest)).toBe(200)
  })

  test('takes no place among the newest tags', async () => {
    const { client } = registry()
    const name = repository()
    const { digest } = await image(client, name, 'only', 'v1')
    for (const suffix of SUFFIXES) await image(client, name, suffix, `${named(digest)}${suffix}`)
    const { job } = await collect(client, { dryRun: true })
    expect(job.counts['heldTags'] ?? 0).toBe(0)
    expect(await status(name, 'v1')).toBe(200)
  })

  test('follows its subject when it is a signature, and its own signature follows it', async () => {
    const { client } = registry()
    const name = repository()
    const subject = await image(client, name, 'signed', 'v1')
    const first = await signature(client, name, subject)
    const second = await signature(client, name, first)
    await collect(client)
    expect(await status(name, `${named(first.digest)}.sig`)).toBe(200)
    expect(await explained(name, `${named(subject.digest)}.sig`)).toMatchObject({ stays: true })
    await client.delete(`/v2/${name}/manifests/v1`)
    expect(await explained(name, `${named(subject.digest)}.sig`)).toMatchObject({ stays: false })
    const { job } = await collect(client)
    expect(job.counts).toMatchObject({ 'removed-tag': 2, 'removed-manifest': 3 })
    for (const { digest } of [subject, first, second]) expect(await status(name, digest)).toBe(404)
  })

  test('follows its subject when it lists the subject’s referrers', async () => {
    const { client } = registry()
    const name = repository()
    const subject = await image(client, name, 'listed', 'v1')
    const referrer = await image(client, name, 'referrer', undefined, { subject })
    const list = await put(client, name, imageIndex([referrer]), named(subject.digest))
    await collect(client)
    expect(await status(name, list.digest)).toBe(200)
    await client.delete(`/v2/${name}/manifests/v1`)
    await collect(client)
    for (const { digest } of [subject, referrer, list]) expect(await status(name, digest)).toBe(404)
  })
})

describeRegistry(
  'a tag that is named after a digest and immutable',
  {
    engines: ['uws'],
    config: {
      storage: { ...config.storage, immutable_tags: [{ repositories: ['**'], tags: ['*.sig'] }] },
    },
  },
  (registry) => {
    test('stays without its subject', async () => {
      const { client } = registry()
      const subject = await image(client, 'team/app', 'signed', 'v1')
      const { digest } = await signature(client, 'team/app', subject)
      await client.delete('/v2/team/app/manifests/v1')
      await collect(client)
      expect((await client.get(`/v2/team/app/manifests/${digest}`)).status).toBe(200)
    })
  },
)

describeRegistry('a manifest of an unknown type', { engines: ['uws'], config }, (registry) => {
  const types = [
    'application/vnd.oci.artifact.manifest.v1+json',
    'application/vnd.cncf.oras.artifact.manifest.v1+json',
    'application/x',
  ]
  const shapes: [string, (blob: Descriptor) => object][] = [
    ['blobs', (blob) => ({ blobs: [blob] })],
    ['layers', (blob) => ({ layers: [blob] })],
    ['config', (blob) => ({ config: blob })],
    ['manifests', (blob) => ({ manifests: [blob] })],
    ['deep inside', (blob) => ({ data: { parts: [[{ at: blob.digest }]] } })],
    ['the name of a member', (blob) => ({ parts: { [blob.digest]: 1 } })],
  ]
  const cases = types.flatMap((type) => shapes.map(([at, shape]) => [type, at, shape] as const))

  describe.each(cases)('%s with what it uses in %s', (type, at, shape) => {
    test('keeps it, brings it along and gives it back', async () => {
      const { client } = registry()
      const name = `team/${at.replaceAll(' ', '-')}-${types.indexOf(type)}`
      const blob = await client.pushBlob(name, `of ${type} at ${at}`)
      const child = await image(client, name, `child of ${type} ${at}`)
      const text = JSON.stringify({ mediaType: type, ...shape(blob), more: [child.digest] })
      const pushed = await client.putManifest(name, 'v1', text, { 'Content-Type': type })
      expect(pushed.status, pushed.text).toBe(201)
      await collect(client)
      const copy = await client.request('POST', '/admin/copy', {
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({
          from: { repository: name, reference: 'v1' },
          to: { repository: `${name}-copy`, tag: 'v1' },
        }),
      })
      expect(copy.status, copy.text).toBe(200)
      await collect(client)
      for (const repository of [name, `${name}-copy`]) {
        const paths = [`manifests/v1`, `blobs/${blob.digest}`, `manifests/${child.digest}`]
        for (const path of paths) {
          expect((await client.get(`/v2/${repository}/${path}`)).status, path).toBe(200)
        }
      }
      await client.delete(`/v2/${name}/manifests/v1`)
      await collect(client)
      expect((await client.get(`/v2/${name}/blobs/${blob.digest}`)).status).toBe(404)
    })
  })
})
