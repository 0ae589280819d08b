/**
 * The registries that exist, one after the other, through the front door: what clients get of each is
 * in the table, and is the same however the registry goes about it.
 */
import { afterEach, describe, expect, test } from 'vitest'
import {
  allTags,
  DIALECTS,
  type Dialect,
  DialectUpstream,
  password,
} from '../../support/dialects.ts'
import { dispose, type InProcessRegistry, startInProcess } from '../../support/in-process.ts'
import {
  type Answer,
  imageIndex,
  imageManifest,
  sha256,
  someBytes,
} from '../../support/registry-client.ts'

const layer = someBytes(200_000, 1)
const small = Buffer.from('{"architecture":"amd64"}')
const type = 'application/vnd.oci.image.manifest.v1+json'
const config = { mediaType: 'application/x', digest: sha256(small), size: small.byteLength }
const image = JSON.stringify(
  imageManifest(config, [
    { mediaType: 'application/x', digest: sha256(layer), size: layer.byteLength },
  ]),
)
const index = JSON.stringify(
  imageIndex([{ mediaType: type, digest: sha256(image), size: image.length }]),
)
const signature = { mediaType: type, digest: sha256('s'), size: 1, artifactType: 'a/b' }

let speaker: DialectUpstream
let registry: InProcessRegistry

afterEach(async () => {
  await dispose(registry)
  await speaker.stop()
})

async function begin(dialect: Dialect, settings: object = {}): Promise<void> {
  speaker = new DialectUpstream(dialect)
  await speaker.start()
  const { upstream } = speaker
  const name = speaker.nameOf('team/app')
  for (const bytes of [layer, small]) upstream.addBlob(name, bytes)
  upstream.addManifest(name, 't000', image)
  upstream.addManifest(name, 't001', index)
  if (dialect.referrers?.hasTag === true) {
    const list = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json' }
    const tag = sha256(image).replace(':', '-')
    upstream.addManifest(name, tag, JSON.stringify({ ...list, manifests: [signature] }))
  } else upstream.addReferrers(name, sha256(image), [signature])
  const { login } = dialect
  const credentials =
    login?.needsPassword === true
      ? [
          {
            ...password,
            ...(login.tokens === 'elsewhere' ? { token_server: speaker.elsewhere.url } : {}),
          },
        ]
      : []
  registry = await startInProcess({
    engine: 'uws',
    mirrors: [{ name: 'hub', upstream: speaker.url, credentials, cache_ttl: '0s', ...settings }],
  })
}

const get = (tail: string, headers = {}) => registry.client.get(`/v2/hub/team/${tail}`, headers)
const head = (tail: string) => registry.client.head(`/v2/hub/team/${tail}`)
const asked = () => speaker.upstream.asked.length + speaker.elsewhere.asked.length

function expectImage(answer: Answer, body: string, digest: string): void {
  expect(answer.status).toBe(200)
  expect(answer.headers['docker-content-digest']).toBe(digest)
  expect(answer.headers['content-length']).toBe(String(Buffer.byteLength(body)))
}

describe.each(DIALECTS)('$name', (dialect) => {
  test('is pulled from, checked and joined as any other', async () => {
    await begin(dialect)
    expectImage(await head('app/manifests/t000'), image, sha256(image))
    expectImage(await head(`app/manifests/${sha256(image)}`), image, sha256(image))
    for (let count = 0; count < 2; count += 1) {
      const answer = await get('app/manifests/t000')
      expectImage(answer, image, sha256(image))
      expect(answer.text).toBe(image)
      expect(answer.headers['content-type']).toBe(type)
    }
    expect((await get('app/manifests/t001')).text).toBe(index)
    const digest = await get(`app/manifests/${sha256(index)}`)
    expect([digest.status, digest.text]).toEqual([200, index])
    const sized = await head(`app/blobs/${sha256(small)}`)
    expect([sized.status, sized.headers['content-length']]).toEqual([200, String(small.byteLength)])
    const [whole, part, tiny] = await Promise.all([
      get(`app/blobs/${sha256(layer)}`),
      get(`app/blobs/${sha256(layer)}`, { Range: 'bytes=100000-100009' }),
      get(`app/blobs/${sha256(small)}`),
    ])
    expect(whole.body.equals(layer)).toBe(true)
    expect([part.status, part.body.equals(layer.subarray(100_000, 100_010))]).toEqual([206, true])
    expect(tiny.body.equals(small)).toBe(true)
  })

  test('has its tags and its referrers listed, or not at all', async () => {
    await begin(dialect)
    const { tags, referrers } = dialect.expect
    for (let count = 0; count < 2; count += 1) {
      const list = await get('app/tags/list')
      if (tags === 'all') expect((list.json as { tags: string[] }).tags).toEqual(allTags)
      else expect(list.status).toBe(tags)
      const signatures = await get(`app/referrers/${sha256(image)}`)
      if (referrers === 'listed') {
        expect((signatures.json as { manifests: object[] }).manifests).toEqual([signature])
      } else expect(signatures.status).toBe(referrers)
    }
  })

  test('is believed when it says no, and not asked again at once', async () => {
    await begin(dialect)
    const questions = [
      () => get('absent/manifests/v1'),
      () => head('absent/manifests/v2'),
      () => get(`absent/manifests/${sha256('x')}`),
      () => get(`absent/blobs/${sha256('y')}`),
      () => head(`absent/blobs/${sha256('z')}`),
      () => get('absent/tags/list'),
    ]
    for (const ask of questions) expect((await ask()).status).toBe(dialect.expect.missing)
    const before = asked()
    for (const ask of questions) expect((await ask()).status).toBe(dialect.expect.missing)
    expect(asked()).toBe(before)
    // A refusal is no failure: what is there is still to be had, and no breaker is open.
    expect((await get('app/manifests/t000')).status).toBe(200)
  })

  test('keeps the password between itself and its own token server', async () => {
    await begin(dialect)
    await get('app/manifests/t000')
    await get(`app/blobs/${sha256(layer)}`)
    await get('app/tags/list')
    await get(`app/referrers/${sha256(image)}`)
    const told = speaker.elsewhere.asked.filter(({ url }) => !url.startsWith('/token'))
    expect(told.every(({ headers }) => !String(headers.authorization).startsWith('Basic'))).toBe(
      true,
    )
    expect(registry.logLines.join()).not.toContain(password.password)
  })
})

describe.each(DIALECTS.filter(({ login }) => login?.needsPassword === true))(
  '$name, to strangers',
  (dialect) => {
    test('shows nothing, and a wrong password is said aloud', async () => {
      await begin(dialect, { credentials: [] })
      const hidden = await get('app/manifests/t000')
      const { strangers = 404 } = dialect.expect
      expect(hidden.status).toBe(strangers)
      if (strangers === 404) expect(hidden.text).toContain('credentials of the mirror')
      await dispose(registry)
      await speaker.stop()
      const wrong = { ...password, password: 'hunter2' }
      await begin(dialect, { credentials: [wrong] })
      const refused = await get('app/manifests/t000')
      expect(refused.status).toBe(502)
      expect(refused.text).toContain('see `credentials` of the mirror')
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
      const warnings = registry.logLines.filter((line) => line.includes('credentials of a mirror'))
      expect(warnings.length).toBe(1)
      expect(registry.logLines.join()).not.toContain('hunter2')
    })
  },
)
