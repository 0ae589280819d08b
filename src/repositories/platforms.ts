/**
 * @module For which platforms an image is: of an index by its own words, of one image by those of its config.
 * Remembered by digest, because a digest names what never changes.
 */
import type { MetadataReader } from '../metadata/port.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import { BoundedMap } from '../runtime/bounded-map.ts'

/** Reads up to `bytesMax` bytes of a blob; undefined when it is larger or not to be had. */
export type ReadBlob = (digest: Digest, bytesMax: number) => Promise<Uint8Array | undefined>

const rememberedMax = 20_000

/** Larger ones are not looked into, bytes. */
const manifestBytesMax = 512 * 1024
const configBytesMax = 256 * 1024

/** Platforms of one image that are told, and the longest of them, characters. */
const platformsMax = 32
const lengthMax = 64

export class Platforms {
  readonly #metadata: MetadataReader
  readonly #readBlob: ReadBlob
  readonly #known = new BoundedMap<Digest, readonly string[]>(rememberedMax)

  constructor(metadata: MetadataReader, readBlob: ReadBlob) {
    this.#metadata = metadata
    this.#readBlob = readBlob
  }

  /** Such as `linux/arm64/v8`; empty where nothing says so. */
  async of(digest: Digest): Promise<readonly string[]> {
    const known = this.#known.get(digest)
    if (known !== undefined) return known
    await this.#metadata.pageIn('manifestBytes', digest)
    const bytes = this.#metadata.getBytes('manifestBytes', digest)
    if (bytes === undefined || bytes.byteLength > manifestBytesMax) return []
    const manifest = parse(bytes)
    const list = field(manifest, 'manifests')
    const found = Array.isArray(list)
      ? list.flatMap((it: unknown) => platformOf(field(it, 'platform')) ?? [])
      : await this.#ofConfig(manifest)
    if (found === undefined) return []
    const platforms = [...new Set(found)].slice(0, platformsMax)
    this.#known.set(digest, platforms)
    return platforms
  }

  /** Undefined: it is not here now, and may come. */
  async #ofConfig(manifest: unknown): Promise<readonly string[] | undefined> {
    const digest = parseDigest(String(field(field(manifest, 'config'), 'digest')))
    if (!digest.ok) return []
    const bytes = await this.#readBlob(digest.value, configBytesMax)
    if (bytes === undefined) return undefined
    const one = platformOf(parse(bytes))
    return one === undefined ? [] : [one]
  }
}

function platformOf(value: unknown): string | undefined {
  const parts = ['os', 'architecture', 'variant'].map((name) => field(value, name))
  const [os, architecture] = parts
  // BuildKit calls the platform of an attestation so.
  if (typeof os !== 'string' || os === '' || os === 'unknown') return undefined
  if (typeof architecture !== 'string' || architecture === '') return undefined
  const text = parts.filter((part) => typeof part === 'string' && part !== '').join('/')
  return text.slice(0, lengthMax)
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined
}
