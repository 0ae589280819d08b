/**
 * @module How large a blob is by the manifests that name it: an upstream that sends another length
 * is refused before the first byte.
 */

import type { MetadataReader } from '../metadata/port.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'

/** Larger manifests are not parsed for this. */
const manifestBytesMax = 256 * 1024

interface Named {
  readonly digest?: unknown
  readonly size?: unknown
}

/** Undefined when no manifest of the repository is stored that names it. */
export function promisedSize(
  metadata: MetadataReader,
  repository: RepositoryName,
  digest: Digest,
): number | undefined {
  const [parent] = metadata.keys('parents', [digest, repository], undefined, 1)
  const bytes = parent === undefined ? undefined : metadata.getBytes('manifestBytes', parent[2])
  if (bytes === undefined || bytes.byteLength > manifestBytesMax) return undefined
  try {
    const { config, layers, manifests } = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
      config?: Named
      layers?: readonly Named[]
      manifests?: readonly Named[]
    }
    const all = [config, ...(layers ?? []), ...(manifests ?? [])]
    const size = all.find((it) => it?.digest === digest)?.size
    return typeof size === 'number' && Number.isSafeInteger(size) ? size : undefined
  } catch {
    return undefined
  }
}
