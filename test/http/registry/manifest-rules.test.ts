/** @module Which manifests are taken and which refused, as a table, over real sockets. */
import { beforeAll, describe, expect, test } from 'vitest'
import { describeRegistry } from '../../support/in-process.ts'
import {
  config,
  DESCRIPTORS,
  describeContent,
  EXISTENCE,
  image,
  layer,
  layerType,
  missing,
  SHAPES,
  stored,
  TYPES,
  UNKNOWN,
} from '../../support/manifest-cases.ts'
import {
  type Answer,
  errorsOf,
  imageIndex,
  imageManifest,
  inByteOrder,
  refusal,
  sha256,
} from '../../support/registry-client.ts'

describeRegistry('a manifest', {}, (registry) => {
  beforeAll(async () => {
    await registry().client.pushBlob('app', '{}')
    await registry().client.pushBlob('app', 'layer')
    expect((await push(image, 'stored')).status).toBe(201)
  })

  let count = 0
  function push(manifest: object | string, tag = `case-${count++}`, contentType?: string) {
    const body = typeof manifest === 'string' ? Buffer.from(manifest) : manifest
    const headers = contentType === undefined ? {} : { 'Content-Type': contentType }
    return registry().client.putManifest('app', tag, fixUtf8(body), headers)
  }

  const outcome = (answer: Answer) => (answer.status === 201 ? '201' : refusal(answer))

  describe.each([
    ['its shape', SHAPES],
    ['its descriptors', DESCRIPTORS],
    ['its type', TYPES],
    ['what it names', EXISTENCE],
  ])('judged by %s', (_group, cases) => {
    test.each(cases)('%s', async (_name, manifest, expected, contentType) => {
      const answer = await push(manifest, 'case', contentType)
      expect(outcome(answer)).toBe(expected)
      if (answer.status === 201) {
        const pulled = await registry().client.get(answer.headers['location']!)
        expect(pulled.status).toBe(200)
        expect(sha256(pulled.body)).toBe(answer.headers['docker-content-digest'])
      }
    })
  })

  test('names each missing digest once', async () => {
    const others = ['a', 'b'].map((it) => describeContent(it, layerType))
    const manifest = imageManifest(missing, [others[0]!, layer, others[1]!, others[0]!, missing])
    const answer = await push(manifest)
    const expected = [missing, ...others].map(({ digest }) => ({ digest }))
    expect(errorsOf(answer).map(({ detail }) => detail)).toEqual(expected)
    expect(new Set(errorsOf(answer).map(({ code }) => code))).toEqual(
      new Set(['MANIFEST_BLOB_UNKNOWN']),
    )
  })

  test('says which fields are wrong', async () => {
    const answer = await push({ ...image, schemaVersion: 3, layers: [{ ...layer, size: -1 }] })
    const detail = errorsOf(answer)[0]?.detail as { field: string }[]
    expect(detail.map(({ field }) => field).sort(inByteOrder)).toEqual([
      'layers.0.size',
      'schemaVersion',
    ])
  })

  test('nothing of all this failed', () => {
    expect(registry().faults).toEqual([])
  })
})

/** A NUL in the table stands for a byte that no UTF-8 text has. */
function fixUtf8(body: object | Buffer): object | Buffer {
  if (!Buffer.isBuffer(body)) return body
  const at = body.indexOf(0)
  if (at >= 0) body[at] = 0xff
  return body
}

describeRegistry(
  'with both sparse policies turned',
  {
    engines: ['uws'],
    config: {
      policy: { allow_sparse_index: false, allow_missing_blobs: true, check_sizes: false },
    },
  },
  (registry) => {
    test('missing blobs are taken, missing manifests refused, sizes not compared', async () => {
      const { client } = registry()
      const put = (manifest: object) => client.putManifest('app', 'x', manifest)
      expect((await put(imageManifest(missing, [layer]))).status).toBe(201)
      const sparse = imageIndex([{ ...stored, digest: missing.digest }])
      expect(refusal(await put(sparse))).toBe(UNKNOWN)
      await client.pushBlob('app', '{}')
      expect((await put(imageManifest({ ...config, size: 77 }, []))).status).toBe(201)
    })
  },
)
