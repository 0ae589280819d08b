/**
 * @module The row about policies of signatures: what the gate before pulls costs a pull of a verified image.
 */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
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

export const signingRows: readonly Row[] = [gatedPullRow]
