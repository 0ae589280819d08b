/**
 * @module Whether upstream has a blob in a repository, and how long it is: asked of upstream for that
 * very repository, once, and remembered. A manifest that names a digest proves nothing: anybody may
 * name any digest. Refusals are remembered for a moment as well.
 */

import type { MetadataReader } from '../metadata/port.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { BoundedMap } from '../runtime/bounded-map.ts'
import type { Clock } from '../runtime/clock.ts'
import { SingleFlight } from '../runtime/single-flight.ts'
import { type Answer, lengthOf, partOf } from '../upstream/client.ts'
import { isHeadUnknown, UpstreamError } from '../upstream/error.ts'
import type { MirroredRepository } from './mirrored-repository.ts'
import { NegativeCache } from './negative-cache.ts'

/** Proofs remembered; the oldest goes. */
const proofsMax = 50_000

/** Upstream's word for one blob in one repository. */
interface Proof {
  /** Undefined where upstream has it and does not say how long it is. */
  readonly sizeBytes: number | undefined
}

export class BlobProofs {
  readonly #asking = new SingleFlight<Proof>()
  readonly #proofs = new BoundedMap<string, Proof>(proofsMax)
  readonly #refused: NegativeCache

  constructor(clock: Clock) {
    this.#refused = new NegativeCache(clock)
  }

  /** Throws what upstream said a moment ago, where that was a refusal. */
  refuseAgain(repository: MirroredRepository, digest: Digest): void {
    const error = this.#refused.get(keyOf(repository, digest))
    if (error === undefined) return
    repository.mirror.stats.negative += 1
    throw error
  }

  noteFailure(repository: MirroredRepository, digest: Digest, error: unknown): void {
    this.#refused.note(keyOf(repository, digest), error)
  }

  /**
   * Throws an `UpstreamError` unless upstream has the blob in this repository, in the length that is
   * known from elsewhere.
   */
  async prove(
    repository: MirroredRepository,
    digest: Digest,
    knownBytes: number | undefined,
    deadline: number,
  ): Promise<void> {
    const { sizeBytes } = await this.#proof(repository, digest, deadline)
    if (sizeBytes === undefined || knownBytes === undefined || sizeBytes === knownBytes) return
    const message = `upstream says ${sizeBytes} bytes of a blob that has ${knownBytes}`
    throw new UpstreamError('garbage', message)
  }

  /** How long upstream says that it is; undefined where it has it and does not say. */
  async sizeOf(
    repository: MirroredRepository,
    digest: Digest,
    deadline: number,
  ): Promise<number | undefined> {
    return (await this.#proof(repository, digest, deadline)).sizeBytes
  }

  async #proof(repository: MirroredRepository, digest: Digest, deadline: number): Promise<Proof> {
    const key = keyOf(repository, digest)
    const known = this.#proofs.get(key)
    if (known !== undefined) return known
    try {
      const proof = await this.#asking.run(key, () => ask(repository, digest, deadline))
      this.#proofs.set(key, proof)
      return proof
    } catch (error) {
      this.noteFailure(repository, digest, error)
      throw error
    }
  }
}

function keyOf(repository: MirroredRepository, digest: Digest): string {
  return `${repository.name} ${digest}`
}

/** By HEAD; by GET of one byte where HEAD is not answered, or says no length. */
async function ask(
  repository: MirroredRepository,
  digest: Digest,
  deadline: number,
): Promise<Proof> {
  const send = async (method: 'GET' | 'HEAD', headers: Record<string, string>) => {
    const answer = await repository.ask({
      method,
      tail: `blobs/${digest}`,
      headers,
      deadline,
      isBulk: method === 'GET',
    })
    answer.body.abort()
    return answer
  }
  let head: Answer | undefined
  try {
    head = await send('HEAD', {})
  } catch (error) {
    if (!isHeadUnknown(error)) throw error
  }
  const length = head && lengthOf(head)
  if (length !== undefined) return { sizeBytes: length }
  const answer = await send('GET', { Range: 'bytes=0-0' })
  return { sizeBytes: answer.status === 206 ? partOf(answer)?.totalBytes : lengthOf(answer) }
}

/** Larger manifests are not parsed for this. */
const manifestBytesMax = 256 * 1024

interface Named {
  readonly digest?: unknown
  readonly size?: unknown
}

/**
 * How large a blob is by a manifest that names it: an upstream that sends another length is refused before
 * the first byte. Undefined when no manifest of the repository is stored that names it.
 */
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
