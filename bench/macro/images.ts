/**
 * @module Images to push and pull: some layers, an image config and a manifest of them, all from a
 * seed. Two kinds: five small layers (the row of the table), and sizes as real images have them.
 */
import { createHash } from 'node:crypto'
import { type Blob, type BlobSpec, withDigest } from './content.ts'
import { type Draw, logNormal, seededDraw } from './random.ts'

export interface ImageSpec {
  readonly seed: number
  readonly tag: string
  readonly layers: readonly BlobSpec[]
  readonly imageConfig: BlobSpec
}

export interface Image {
  readonly tag: string
  /** Layers first, then the image config: the order in which clients push. */
  readonly blobs: readonly Blob[]
  readonly manifest: Buffer
  readonly digest: string
  readonly sizeBytes: number
}

export const manifestType = 'application/vnd.oci.image.manifest.v1+json'

const KiB = 1024
const MiB = 1024 * KiB
/** Keeps the seeds of an image's blobs apart from those of all others. */
const seedsPerImage = 100

/** Five layers of 4 to 32 KiB (uniform) and an image config of 2 KiB. */
export function smallImage(seed: number): ImageSpec {
  const draw = seededDraw(seed)
  const sizes = Array.from({ length: 5 }, () => Math.floor((4 + draw() * 28) * KiB))
  return image(seed, sizes, 2 * KiB)
}

/**
 * Sizes as in a public registry: 2 to 14 layers (median about 6); most layers are tiny (a quarter
 * below 1 KiB: metadata-only steps), the others log-normal around 1 MiB with a long tail that is
 * cut at 64 MiB; image configs of 2 to 10 KiB. An image has 16 MiB on average, 10 MiB in the middle.
 */
export function realisticImage(seed: number): ImageSpec {
  const draw = seededDraw(seed)
  const count = Math.min(14, Math.max(2, Math.round(logNormal(draw, 6, 0.5))))
  const sizes = Array.from({ length: count }, () => realisticLayerBytes(draw))
  return image(seed, sizes, Math.floor((2 + draw() * 8) * KiB))
}

function realisticLayerBytes(draw: Draw): number {
  if (draw() < 0.25) return Math.floor(100 + draw() * 900)
  return Math.min(64 * MiB, Math.max(1 * KiB, Math.floor(logNormal(draw, 1 * MiB, 1.6))))
}

function image(seed: number, layerBytes: readonly number[], configBytes: number): ImageSpec {
  const blob = (index: number, sizeBytes: number) => ({
    seed: seed * seedsPerImage + index,
    sizeBytes,
  })
  return {
    seed,
    tag: `t${seed}`,
    layers: layerBytes.map((sizeBytes, index) => blob(index + 1, sizeBytes)),
    imageConfig: blob(0, configBytes),
  }
}

/** Hashes the content and writes the manifest. */
export function buildImage(spec: ImageSpec): Image {
  const layers = spec.layers.map(withDigest)
  const imageConfig = withDigest(spec.imageConfig)
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: descriptor('application/vnd.oci.image.config.v1+json', imageConfig),
      layers: layers.map((layer) =>
        descriptor('application/vnd.oci.image.layer.v1.tar+gzip', layer),
      ),
    }),
  )
  const blobs = [...layers, imageConfig]
  return {
    tag: spec.tag,
    blobs,
    manifest,
    digest: `sha256:${createHash('sha256').update(manifest).digest('hex')}`,
    sizeBytes: blobs.reduce((total, blob) => total + blob.sizeBytes, manifest.length),
  }
}

function descriptor(mediaType: string, { digest, sizeBytes }: Blob) {
  return { mediaType, digest, size: sizeBytes }
}
