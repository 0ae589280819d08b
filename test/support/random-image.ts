/**
 * @module Builds OCI image layouts for tests: layers are tar archives of real files of this machine
 * (or seeded random bytes where only the size matters), configs carry true diff ids, so that every
 * client can unpack them. Writes folders; talks to no registry. Layout format: image-spec,
 * image-layout.md.
 */

import { spawn } from 'node:child_process'
import { createCipheriv, createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { link, mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'

export const MEDIA_TYPES = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  empty: 'application/vnd.oci.empty.v1+json',
} as const

export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

export interface Layer extends Descriptor {
  /** Digest of the uncompressed tar, as the image config lists it. */
  readonly diffId: string
}

export interface Platform {
  readonly architecture: string
  readonly os: string
  readonly variant?: string
}

/** One image or index in a layout folder of its own; `blobs` lists every blob file below it. */
export interface Layout extends Descriptor {
  readonly folder: string
  readonly layers: readonly Layer[]
  /** Manifests and configs included, the top one too. */
  readonly blobs: readonly Descriptor[]
}

/** The platform of this machine in Go's words, so that clients pick the image by themselves. */
export const HERE: Platform = {
  architecture: process.arch === 'x64' ? 'amd64' : process.arch,
  os: 'linux',
}

/** A layer of files; `name` is a throw-away file name inside `pool`, the folder of all blobs. */
export async function fileLayer(
  pool: string,
  files: readonly string[],
  compression: 'gzip' | 'zstd' = 'gzip',
): Promise<Layer> {
  const options = ['--create', '--null', '--no-recursion', '--files-from=-', '--format=gnu']
  const normal = ['--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--hard-dereference']
  const names = files.map((file) => file.replace(/^\//, '')).join('\0')
  const tar = program('tar', ['-C', '/', ...options, ...normal])
  tar.stdin.end(names)
  return storeLayer(pool, tar.output, compression)
}

/** A gzip layer (stored, not deflated) around one file of seeded random bytes. */
export function randomLayer(pool: string, sizeBytes: number, seed: number): Promise<Layer> {
  return storeLayer(pool, Readable.from(randomTar(sizeBytes, seed)), 'stored')
}

/** The empty tar as gzip: what `docker` writes for a build step that changes no file. */
export function emptyLayer(pool: string): Promise<Layer> {
  return storeLayer(pool, Readable.from([Buffer.alloc(1024)]), 'gzip')
}

/** An image manifest over `layers` as a layout in `folder`, its blobs hard-linked from `pool`. */
export async function writeImage(
  pool: string,
  folder: string,
  layers: readonly Layer[],
  platform: Platform = HERE,
): Promise<Layout> {
  const config = await storeJson(pool, MEDIA_TYPES.config, {
    created: '2024-01-01T00:00:00Z',
    ...platform,
    config: { Cmd: ['/bin/true'], Labels: { 'org.example.image': folder.replace(/.*\//, '') } },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
    history: layers.map((layer) => ({ created: '2024-01-01T00:00:00Z', created_by: layer.digest })),
  })
  const manifest = await storeJson(pool, MEDIA_TYPES.manifest, {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    config,
    layers: layers.map(plain),
  })
  return writeLayout(pool, folder, manifest, layers, [manifest, config, ...layers])
}

/** An index over images made by `writeImage`, as a layout of its own. */
export async function writeIndex(
  pool: string,
  folder: string,
  images: readonly { readonly image: Layout; readonly platform: Platform }[],
): Promise<Layout> {
  const index = await storeJson(pool, MEDIA_TYPES.index, {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.index,
    manifests: images.map(({ image, platform }) => ({ ...plain(image), platform })),
  })
  const layers = images.flatMap(({ image }) => image.layers)
  const blobs = [index, ...images.flatMap(({ image }) => image.blobs)]
  return writeLayout(pool, folder, index, layers, blobs)
}

/** An artifact manifest about `subject`: the empty config, one file as its only layer. */
export async function writeArtifact(
  pool: string,
  folder: string,
  subject: Descriptor,
  artifact: { readonly type: string; readonly mediaType: string; readonly file: string },
): Promise<Layout> {
  const config = await storeJson(pool, MEDIA_TYPES.empty, {})
  const stored = await store(pool, createReadStream(artifact.file), [])
  const layer = { mediaType: artifact.mediaType, ...stored }
  const manifest = await storeJson(pool, MEDIA_TYPES.manifest, {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    artifactType: artifact.type,
    config,
    layers: [layer],
    subject: plain(subject),
  })
  return writeLayout(pool, folder, manifest, [], [manifest, config, layer])
}

/** Where a layout or a pool keeps the bytes of a digest. */
export function blobPath(folder: string, digest: string): string {
  return join(folder, 'blobs', digest.replace(':', '/'))
}

async function writeLayout(
  pool: string,
  folder: string,
  top: Descriptor,
  layers: readonly Layer[],
  blobs: readonly Descriptor[],
): Promise<Layout> {
  await mkdir(join(folder, 'blobs/sha256'), { recursive: true })
  const unique = [...new Map(blobs.map((blob) => [blob.digest, plain(blob)])).values()]
  for (const { digest } of unique) await link(blobPath(pool, digest), blobPath(folder, digest))
  const annotations = { 'org.opencontainers.image.ref.name': 'latest' }
  const index = { schemaVersion: 2, manifests: [{ ...plain(top), annotations }] }
  await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  await writeFile(join(folder, 'index.json'), JSON.stringify(index))
  return { ...plain(top), folder, layers, blobs: unique }
}

function plain({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}

async function storeJson(pool: string, mediaType: string, value: unknown): Promise<Descriptor> {
  const stored = await store(pool, Readable.from([Buffer.from(JSON.stringify(value))]), [])
  return { mediaType, ...stored }
}

async function storeLayer(
  pool: string,
  tar: Readable,
  compression: 'gzip' | 'zstd' | 'stored',
): Promise<Layer> {
  const diff = hashing()
  const zstd = compression === 'zstd' ? program('zstd', ['-q', '-c', '-3']) : undefined
  const gzip = createGzip({ level: compression === 'stored' ? 0 : 1, chunkSize: 1 << 18 })
  const [stored] =
    zstd === undefined
      ? [await store(pool, tar, [diff.stream, gzip])]
      : await Promise.all([store(pool, zstd.output, []), pipeline(tar, diff.stream, zstd.stdin)])
  const mediaType = compression === 'zstd' ? MEDIA_TYPES.zstd : MEDIA_TYPES.gzip
  return { mediaType, ...stored, diffId: diff.digest() }
}

/** Writes a stream into the pool under its own digest. */
async function store(
  pool: string,
  source: Readable,
  through: readonly Transform[],
): Promise<{ digest: string; size: number }> {
  await mkdir(join(pool, 'blobs/sha256'), { recursive: true })
  const unnamed = join(pool, `unnamed-${process.pid}-${unnamedCount++}`)
  const sum = hashing()
  await pipeline([source, ...through, sum.stream, createWriteStream(unnamed)])
  const digest = sum.digest()
  await rename(unnamed, blobPath(pool, digest))
  return { digest, size: sum.sizeBytes() }
}

let unnamedCount = 0

function hashing() {
  const hash = createHash('sha256')
  let sizeBytes = 0
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      sizeBytes += chunk.length
      done(null, chunk)
    },
  })
  return {
    stream,
    digest: () => `sha256:${hash.digest('hex')}`,
    sizeBytes: () => sizeBytes,
  }
}

/** A filter program whose output ends in an error when it fails, instead of a short file. */
function program(command: string, args: readonly string[]) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const exited = new Promise<void>((resolve, reject) => {
    let complaints = ''
    child.stderr.on('data', (chunk: Buffer) => {
      if (complaints.length < 4000) complaints += chunk.toString()
    })
    child.once('error', reject)
    child.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`${command}: ${code}: ${complaints}`)),
    )
  })
  exited.catch(() => undefined)
  async function* output() {
    yield* child.stdout
    await exited
  }
  return { stdin: child.stdin, output: Readable.from(output(), { objectMode: false }) }
}

function* randomTar(sizeBytes: number, seed: number): Generator<Buffer> {
  const header = Buffer.alloc(512)
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`
  header.write('random', 0)
  header.write(octal(0o644, 7) + octal(0, 7) + octal(0, 7) + octal(sizeBytes, 11), 100)
  header.write(`${octal(0, 11)}        0`, 136)
  header.write('ustar\x0000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${octal(sum, 6)} `, 148)
  yield header
  // Counter mode over zeros: the same seed gives the same bytes, at gigabytes a second.
  const key = createHash('sha256').update(`seed ${seed}`).digest()
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
  const zeros = Buffer.alloc(1 << 20)
  for (let left = sizeBytes; left > 0; left -= zeros.length) {
    yield cipher.update(left < zeros.length ? zeros.subarray(0, left) : zeros)
  }
  yield Buffer.alloc(1024 + ((512 - (sizeBytes % 512)) % 512))
}
