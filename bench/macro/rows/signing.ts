/**
 * @module The rows about policies of signatures: what the gate before pulls costs a pull of a verified image, and what
 * the server does beside the verification of many keyless bundles.
 */

import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Bench, measured, type Row, type RowResult } from '../bench.ts'
import { clientOf, runGetLoad } from '../get-load.ts'
import { HttpConnection, type Target } from '../http-client.ts'
import { buildImage, type Image, manifestType, smallImage } from '../images.ts'
import { pushImage } from '../push.ts'
import type { BenchServer } from '../server.ts'

const accept = { Accept: manifestType }
const gated = 'gated/app'
const open = 'open/app'

interface Gated {
  readonly server: BenchServer
  readonly image: Image
}

/** One image in two repositories of one server; in one of them a policy asks for its signature. */
function gatedServer(bench: Bench): Promise<Gated> {
  return bench.once('gated', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
    const config = [
      'signing:',
      `  keys: [{ name: release, pem: ${JSON.stringify(pem)} }]`,
      '  policies:',
      '    - name: gated',
      '      repositories: ["gated/**"]',
      '      mode: enforce',
      '      gates: [pull]',
      '      require: [{ signature: { by: [{ key: release }] } }]',
      '',
    ].join('\n')
    const server = await bench.kind('ours').start({ folder: bench.newFolder('gated'), config })
    bench.atEnd(() => server.stop())
    const image = buildImage(smallImage(6000))
    const connection = await HttpConnection.open(server.target)
    for (const repository of [open, gated]) await pushImage(connection, repository, image)
    await pushSignature(connection, image.digest, privateKey)
    connection.close()
    return { server, image }
  })
}

/** As cosign attaches one by tag. */
async function pushSignature(
  connection: HttpConnection,
  digest: string,
  key: KeyObject,
): Promise<void> {
  const critical = {
    identity: { 'docker-reference': gated },
    image: { 'docker-manifest-digest': digest },
    type: 'cosign container image signature',
  }
  const payload = Buffer.from(JSON.stringify({ critical, optional: null }))
  const signature = sign('sha256', payload, key).toString('base64')
  const config = Buffer.from('{}')
  for (const blob of [payload, config]) {
    const path = `/v2/${gated}/blobs/uploads/?digest=${digestOf(blob)}`
    await send(connection, 'POST', path, blob, 'application/octet-stream')
  }
  const layer = {
    mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
    digest: digestOf(payload),
    size: payload.byteLength,
    annotations: { 'dev.cosignproject.cosign/signature': signature },
  }
  const manifest = {
    schemaVersion: 2,
    mediaType: manifestType,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digestOf(config),
      size: config.byteLength,
    },
    layers: [layer],
  }
  const path = `/v2/${gated}/manifests/${digest.replace(':', '-')}.sig`
  await send(connection, 'PUT', path, Buffer.from(JSON.stringify(manifest)), manifestType)
}

async function send(
  connection: HttpConnection,
  method: 'POST' | 'PUT',
  path: string,
  body: Buffer,
  type: string,
): Promise<void> {
  const headers = { 'Content-Type': type }
  const { status } = await connection.request({
    method,
    path,
    headers,
    bodyBytes: body.byteLength,
    body: [body],
  })
  if (status !== 201) throw new Error(`${method} ${path} gave ${status}`)
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

async function requirePulled(target: Target, path: string): Promise<void> {
  const connection = await HttpConnection.open(target)
  const { status } = await connection.request({ method: 'GET', path, headers: accept })
  connection.close()
  if (status !== 200) throw new Error(`GET ${path} gave ${status}`)
}

const gatedPullRow: Row = {
  id: 'get-manifest-gated',
  title: 'GET manifest by tag, verified by a policy of signatures, 16 connections',
  run: async (bench): Promise<RowResult> => {
    const { server, image } = await gatedServer(bench)
    const { target } = server
    const pathIn = (repository: string) => `/v2/${repository}/manifests/${image.tag}`
    await requirePulled(target, pathIn(gated))
    const { seconds } = bench.options
    const load = { target, method: 'GET', connections: 16, headers: accept } as const
    const rateOf = async (repository: string) => {
      const paths = [pathIn(repository)]
      return measured(server, () => runGetLoad({ ...load, paths, seconds }))
    }
    for (const repository of [open, gated]) {
      await runGetLoad({ ...load, paths: [pathIn(repository)], seconds: 1 })
    }
    const results = await bench.alternate(['ours'], async (_name, round) => {
      // Which one comes first changes: the second finds a processor that is warm.
      const order = round % 2 === 0 ? [open, gated] : [gated, open]
      const metrics = new Map<string, Awaited<ReturnType<typeof rateOf>>>()
      for (const repository of order) metrics.set(repository, await rateOf(repository))
      const rate = metrics.get(gated)!['requestsPerSecond']!
      const ofUngated = rate / metrics.get(open)!['requestsPerSecond']!
      return { rate, ofUngated, ...metrics.get(gated) }
    })
    const { id, title } = gatedPullRow
    const notes = ['the same image in a repository without a policy, in turns']
    return { id, title, unit: 'requests/s', client: clientOf('GET'), servers: results, notes }
  },
}

const bundleType = 'application/vnd.dev.sigstore.bundle.v0.3+json'

/** What has to be signed, its manifest, and the bundle that signs it. */
interface SignedImage {
  readonly digest: string
  readonly manifest: Buffer
  readonly bundle: Buffer
}

/** Images whose bundles a sigstore of the bench's own has made, and its trusted root. */
async function signedImages(count: number) {
  const { keylessBundle, Sigstore } = await import('../../sigstore/keyless.ts')
  const sigstore = await Sigstore.open()
  const by = await sigstore.certify()
  const images: SignedImage[] = []
  for (let number = 0; number < count; number += 1) {
    const empty = { digest: digestOf(Buffer.from('{}')), size: 2 }
    const type = 'application/vnd.oci.image.config.v1+json'
    const body = { mediaType: manifestType, config: { mediaType: type, ...empty }, layers: [] }
    const annotations = { number: String(number) }
    const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, ...body, annotations }))
    const digest = digestOf(manifest)
    const statement = {
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ digest: { sha256: digest.slice('sha256:'.length) } }],
      predicateType: 'https://sigstore.dev/cosign/sign/v1',
      predicate: {},
    }
    const payload = Buffer.from(JSON.stringify(statement))
    const bundle = Buffer.from(JSON.stringify(await keylessBundle({ sigstore, by, payload })))
    images.push({ digest, manifest, bundle })
  }
  return { images, root: JSON.stringify(sigstore.root()) }
}

function manifestOfBundle({ digest, manifest, bundle }: SignedImage): Buffer {
  const empty = 'application/vnd.oci.empty.v1+json'
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      artifactType: bundleType,
      config: { mediaType: empty, digest: digestOf(Buffer.from('{}')), size: 2 },
      layers: [{ mediaType: bundleType, digest: digestOf(bundle), size: bundle.byteLength }],
      subject: { mediaType: manifestType, digest, size: manifest.byteLength },
    }),
  )
}

/** Each of the connections takes the next image, until there is none. */
async function onConnections(
  target: Target,
  images: readonly SignedImage[],
  act: (connection: HttpConnection, image: SignedImage) => Promise<void>,
): Promise<void> {
  const left = images.values()
  const work = async () => {
    const connection = await HttpConnection.open(target)
    for (const image of left) await act(connection, image)
    connection.close()
  }
  await Promise.all(Array.from({ length: 16 }, work))
}

/** A verdict that is late is answered 503. */
async function pullVerified(connection: HttpConnection, path: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const { status } = await connection.request({ method: 'GET', path, headers: accept })
    if (status === 200) return
    if (status !== 503) throw new Error(`GET ${path} gave ${status}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`GET ${path} gave 503 for too long`)
}

const bundlesRow: Row = {
  id: 'push-bundles',
  title: '1,000 keyless bundles pushed and verified, 16 connections',
  run: async (bench): Promise<RowResult> => {
    const { images, root } = await signedImages(
      Math.max(50, Math.round(1000 * bench.options.scale)),
    )
    const results = await bench.alternate(['ours'], async () => {
      const folder = bench.newFolder('bundles')
      const rootFile = join(folder, '..', 'bench_trusted_root.json')
      writeFileSync(rootFile, root)
      const config = [
        'signing:',
        `  roots: [{ name: bench, path: ${JSON.stringify(rootFile)} }]`,
        '  policies:',
        '    - name: gated',
        '      repositories: ["gated/**"]',
        '      mode: enforce',
        '      gates: [pull]',
        '      require:',
        '        - signature:',
        '            by:',
        '              - identity:',
        '                  issuer: "https://token.actions.githubusercontent.com"',
        '                  subject: "https://github.com/acme/app/.github/workflows/*@refs/tags/*"',
        '',
      ].join('\n')
      const server = await bench.kind('ours').start({ folder, config })
      const { target } = server
      const upload = (body: Buffer) => `/v2/${gated}/blobs/uploads/?digest=${digestOf(body)}`
      const octets = 'application/octet-stream'
      const manifests = `/v2/${gated}/manifests`
      const first = await HttpConnection.open(target)
      await send(first, 'POST', upload(Buffer.from('{}')), Buffer.from('{}'), octets)
      first.close()
      await onConnections(target, images, (connection, { digest, manifest }) =>
        send(connection, 'PUT', `${manifests}/${digest}`, manifest, manifestType),
      )
      const startedAt = performance.now()
      const metrics = await measured(server, async () => {
        await onConnections(target, images, async (connection, image) => {
          await send(connection, 'POST', upload(image.bundle), image.bundle, octets)
          const signature = manifestOfBundle(image)
          await send(
            connection,
            'PUT',
            `${manifests}/${digestOf(signature)}`,
            signature,
            manifestType,
          )
        })
        // Each is verified by now, or in a moment.
        await onConnections(target, images, (connection, { digest }) =>
          pullVerified(connection, `${manifests}/${digest}`),
        )
        return {}
      })
      const seconds = (performance.now() - startedAt) / 1000
      await server.stop()
      return { ...metrics, rate: images.length / seconds }
    })
    const { id, title } = bundlesRow
    const notes = ['Rekor 1, one certificate; each image is pulled once at the end, verified']
    return { id, title, unit: 'bundles/s', client: 'own client', servers: results, notes }
  },
}

export const signingRows: readonly Row[] = [gatedPullRow, bundlesRow]
