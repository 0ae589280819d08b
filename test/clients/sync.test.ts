/**
 * @module Syncs from real registries: after each run the copy is what the filter leaves of upstream, digest for
 * digest, with cosign's tags and with referrers. What cosign has signed there verifies here.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { until } from '../support/in-process.ts'
import {
  type Descriptor,
  imageIndex,
  imageManifest,
  RegistryClient,
  sha256,
  someBytes,
} from '../support/registry-client.ts'
import { projectRoot, type RunningRegistry, startRegistry } from '../support/start-registry.ts'
import { startPeer } from '../support/token-registry.ts'
import { clientSession } from './support/session.ts'
import { builtTool, hasTool, skipLoudly } from './support/tools.ts'
import { listReferrers, listTags, putLayout, readManifest, readWhole } from './support/wire.ts'

const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'
const configType = 'application/vnd.oci.image.config.v1+json'

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  while (open.length > 0) await open.pop()!()
})

interface Source {
  readonly url: string
  stop(): Promise<unknown>
}

interface Peer {
  readonly name: string
  readonly type: 'registry' | 'fastregistry'
  /** The program, or why there is none. */
  readonly program: string | undefined
  /** It answers the referrers API, so clients write no tag in its place. */
  readonly hasReferrers: boolean
  start(): Promise<Source>
}

/** Where `setup.sh` here or the one of the benches has built it. */
function distribution(): string | undefined {
  const folder = process.env['BENCH_PEERS'] ?? join(projectRoot(), '.cache/bench/bin')
  return [builtTool('registry'), join(folder, 'registry')].find(existsSync)
}

const dockerRegistry = hasTool('docker-registry') ? 'docker-registry' : undefined
const registry = (name: string, program: string | undefined): Peer => ({
  name,
  type: 'registry',
  program,
  hasReferrers: false,
  start: () => startPeer({ command: program! }),
})

const PEERS: readonly Peer[] = [
  registry('docker-registry', dockerRegistry),
  registry('distribution v3', distribution()),
  {
    name: 'a second FastRegistry',
    type: 'fastregistry',
    program: 'ours',
    hasReferrers: true,
    start: () => startRegistry(),
  },
]

/** Content of an upstream, pushed as clients do. */
class Pusher {
  readonly #url: string
  readonly #client: RegistryClient
  readonly #hasReferrers: boolean

  constructor(url: string, hasReferrers: boolean) {
    this.#url = url
    this.#client = new RegistryClient(Number(new URL(url).port))
    this.#hasReferrers = hasReferrers
    open.push(async () => this.#client.close())
  }

  /** An image of two layers, the first of them the same in all. */
  async image(
    path: string,
    tag: string | undefined,
    seed: number,
    fields: Readonly<Record<string, unknown>> = {},
  ): Promise<Descriptor> {
    const config = await this.#blob(path, Buffer.from(JSON.stringify({ seed })), configType)
    const layers = [
      await this.#blob(path, someBytes(50_000, 1), layerType),
      await this.#blob(path, someBytes(3_000, seed), layerType),
    ]
    return this.#put(path, tag, imageManifest(config, layers, fields))
  }

  async index(path: string, tag: string, seed: number): Promise<Descriptor> {
    const images = [
      await this.image(path, undefined, seed),
      await this.image(path, undefined, -seed),
    ]
    return this.#put(path, tag, imageIndex(images))
  }

  /** As cosign did until version 2. */
  sign(path: string, { digest }: Descriptor, seed: number): Promise<Descriptor> {
    return this.image(path, `${digest.replace(':', '-')}.sig`, seed)
  }

  /** As the specification wants it: where a registry does not know subjects, with a tag in their place. */
  async attach(path: string, subject: Descriptor, seed: number): Promise<Descriptor> {
    const referrer = await this.image(path, undefined, seed, { subject })
    if (!this.#hasReferrers) {
      await this.#put(path, subject.digest.replace(':', '-'), imageIndex([referrer]))
    }
    return referrer
  }

  async #blob(path: string, bytes: Buffer, mediaType: string): Promise<Descriptor> {
    const uploads = `${this.#url}/v2/${path}/blobs/uploads/`
    const opened = await fetch(uploads, { method: 'POST' })
    const location = new URL(opened.headers.get('location') ?? '', uploads)
    const digest = sha256(bytes)
    location.searchParams.set('digest', digest)
    const headers = { 'Content-Type': 'application/octet-stream' }
    const done = await fetch(location, { method: 'PUT', body: new Uint8Array(bytes), headers })
    expect(done.status, await done.text()).toBe(201)
    return { mediaType, digest, size: bytes.byteLength }
  }

  async #put(path: string, tag: string | undefined, manifest: object): Promise<Descriptor> {
    const bytes = Buffer.from(JSON.stringify(manifest))
    const digest = sha256(bytes)
    const { mediaType } = manifest as { mediaType: string }
    const headers = { 'Content-Type': mediaType }
    const answer = await this.#client.putManifest(path, tag ?? digest, bytes, headers)
    expect(answer.status, answer.text).toBe(201)
    return { mediaType, digest, size: bytes.byteLength }
  }
}

interface Told {
  readonly state: string
  readonly result?: string
  readonly counts: Readonly<Record<string, number>>
  readonly failures: readonly unknown[]
}

async function openCopy(
  url: string,
  type: string,
  more: Readonly<Record<string, unknown>> = {},
): Promise<RunningRegistry> {
  const source = {
    name: 'above',
    type,
    url,
    organizations: ['team'],
    mode: 'manual',
    ...more,
  }
  const copy = await startRegistry({ config: { sync: { sources: [source] } } })
  open.push(() => copy.stop())
  return copy
}

async function run({ url }: RunningRegistry): Promise<Told> {
  const started = await fetch(`${url}/admin/sync/trigger/above`, { method: 'POST' })
  expect(started.status, await started.text()).toBe(200)
  let told!: Told
  await until(async () => {
    told = (await (await fetch(`${url}/admin/sync/status/above`)).json()) as Told
    return told.state !== 'running'
  })
  expect({ result: told.result, failures: told.failures }).toEqual({ result: 'ok', failures: [] })
  return told
}

/** The tags of a repository with their digests, each read whole. */
async function contentOf(url: string, path: string): Promise<Record<string, string>> {
  const target = { url } as never
  const found: Record<string, string> = {}
  for (const tag of [...(await listTags(target, path))].sort()) {
    // A list of referrers names what may be missing.
    const isList = /^sha256-[0-9a-f]{64}$/.test(tag)
    const read = isList ? readManifest : readWhole
    found[tag] = (await read(target, path, tag)).digest
  }
  return found
}

describe.each(PEERS)('from $name', (peer) => {
  test('the copy is what the filter leaves, after each run', async (context) => {
    if (peer.program === undefined) skipLoudly(context, `${peer.name} is not installed`)
    const upstream = await peer.start()
    open.push(() => upstream.stop())
    const push = new Pusher(upstream.url, peer.hasReferrers)
    await push.image('team/app', 'v1', 2)
    const index = await push.index('team/app', 'v2', 3)
    await push.image('team/app', 'rc1', 4)
    const tool = await push.image('team/deep/tool', 'v1', 5)
    await push.image('other/app', 'v1', 6)
    await push.sign('team/deep/tool', tool, 7)
    const referrer = await push.attach('team/app', index, 8)

    const copy = await openCopy(upstream.url, peer.type, { tags: { include: ['v*'] } })
    const same = async (path: string) => {
      const { rc1: _excluded, ...wanted } = await contentOf(upstream.url, path)
      expect(await contentOf(copy.url, path), path).toEqual(wanted)
    }
    expect((await run(copy)).counts).toMatchObject({ copied: 3, failed: 0 })
    await same('team/app')
    await same('team/deep/tool')
    expect(await listTags(copy as never, 'other/app')).toEqual([])
    const digests = async (subject: string) =>
      (await listReferrers(copy as never, 'team/app', subject)).map(({ digest }) => digest)
    expect(await digests(index.digest)).toEqual([referrer.digest])

    expect((await run(copy)).counts).toMatchObject({ copied: 0, failed: 0 })

    // One moves, one is new, one is signed late, and so is one that has not moved.
    const moved = await push.image('team/app', 'v1', 9)
    await push.image('team/app', 'v3', 10)
    await push.sign('team/app', moved, 11)
    await push.sign('team/app', index, 12)
    const second = await push.attach('team/app', moved, 13)
    const { counts } = await run(copy)
    expect(counts).toMatchObject({ copied: 2, failed: 0 })
    expect(counts['referrers_updated']).toBeGreaterThan(0)
    await same('team/app')
    await same('team/deep/tool')
    expect(await digests(moved.digest)).toEqual([second.digest])
  })
})

const TLOG = ['--tlog-upload=false', '--use-signing-config=false', '--allow-http-registry']
const VERIFY = ['--insecure-ignore-tlog=true', '--allow-http-registry']
/** Signatures as tags, the way of cosign 1 and 2; without it as referrers. */
const SCHEMES = [
  ['as a tag', ['--new-bundle-format=false']],
  ['as a referrer', []],
] as const

describe('signatures of cosign', () => {
  const session = clientSession('cosign')

  describe.each(PEERS)('at $name', (peer) => {
    test.each(SCHEMES)('%s verify at the copy', async (_scheme, format) => {
      // The test is skipped without cosign by then.
      if (peer.program === undefined) {
        process.stderr.write(`SKIPPED: ${peer.name} is not installed\n`)
        return
      }
      const upstream = await peer.start()
      open.push(() => upstream.stop())
      const { multiArch } = session.images
      await putLayout(upstream as never, 'team/signed', 'v1', multiArch)
      const key = `sync-${peer.name.replaceAll(' ', '-')}-${format.length}`
      const foreign = `${key}-foreign`
      for (const one of [key, foreign]) {
        await session.run('cosign', 'generate-key-pair', '--output-key-prefix', one)
      }
      const at = (url: string) => `${new URL(url).host}/team/signed@${multiArch.digest}`
      const signed = at(upstream.url)
      const sign = ['sign', '--yes', '--key', `${key}.key`, ...TLOG, ...format, signed]
      await session.run('cosign', ...sign)

      const copy = await openCopy(upstream.url, peer.type)
      await run(copy)
      const verify = ['verify', ...VERIFY, ...format, at(copy.url), '--key']
      await session.run('cosign', ...verify, `${key}.pub`)
      await session.runFailing('cosign', ...verify, `${foreign}.pub`)
    })
  })
})
