/**
 * @module Rows of secrets, sealed by the secret of the mesh (AES-256-GCM): the log, the views and their
 * backups hold nothing else of them. A seal is of one name in one cluster.
 *
 * ```
 * format 1 | nonce 12 | sealed bytes | tag 16
 * ```
 */
import { createCipheriv, createDecipheriv } from 'node:crypto'
import type { Random } from '../../runtime/random.ts'
import { MeshError } from './problem.ts'
import type { MeshSecret, MeshSecrets } from './secret.ts'

const cipher = 'aes-256-gcm'
const format = 1
const nonceBytes = 12
const tagBytes = 16
const overheadBytes = 1 + nonceBytes + tagBytes

/** Most bytes that are sealed as one. */
const sealedBytesMax = 1024 * 1024

export interface SealsOptions {
  readonly secrets: MeshSecrets
  readonly cluster: string
  readonly random: Random
}

export interface Opened {
  readonly bytes: Buffer
  /** By the second of two secrets: to be sealed again with the first. */
  readonly isOld: boolean
}

export class Seals {
  readonly #options: SealsOptions

  constructor(options: SealsOptions) {
    this.#options = options
  }

  /** With the first of the secrets. Throws a RangeError for more than 1 MiB. */
  seal(name: string, bytes: Uint8Array): Buffer {
    if (bytes.byteLength > sealedBytesMax) throw new RangeError('this is too much for one seal')
    const { random, secrets, cluster } = this.#options
    const nonce = random.bytes(nonceBytes)
    const sealing = createCipheriv(cipher, secrets[0].key('seal'), nonce)
    sealing.setAAD(boundTo(cluster, name))
    const sealed = [Buffer.of(format), nonce, sealing.update(bytes), sealing.final()]
    return Buffer.concat([...sealed, sealing.getAuthTag()])
  }

  /**
   * With any of the secrets. Throws a MeshError 'sealed' when it was sealed with another one, under another
   * name, in another cluster, or has changed since: nothing says which.
   */
  open(name: string, sealed: Uint8Array): Opened {
    const { secrets } = this.#options
    const { byteLength } = sealed
    const isWhole = byteLength >= overheadBytes && byteLength <= overheadBytes + sealedBytesMax
    if (isWhole && sealed[0] === format) {
      for (const [place, secret] of secrets.entries()) {
        const bytes = this.#openWith(secret, name, sealed)
        if (bytes !== undefined) return { bytes, isOld: place > 0 }
      }
    }
    throw new MeshError(
      'sealed',
      `the secret of the mesh does not open "${name}": it was changed, or the row is of another cluster; ` +
        'while it is changed its file has two lines, the new one and the old one',
    )
  }

  #openWith(secret: MeshSecret, name: string, sealed: Uint8Array): Buffer | undefined {
    const nonce = sealed.subarray(1, 1 + nonceBytes)
    const opening = createDecipheriv(cipher, secret.key('seal'), nonce, { authTagLength: tagBytes })
    opening.setAAD(boundTo(this.#options.cluster, name))
    opening.setAuthTag(sealed.subarray(-tagBytes))
    const bytes = opening.update(sealed.subarray(1 + nonceBytes, -tagBytes))
    try {
      return Buffer.concat([bytes, opening.final()])
    } catch {
      return undefined
    }
  }
}

/** A name of a cluster has no zero byte in it. */
function boundTo(cluster: string, name: string): Buffer {
  return Buffer.from(`fastregistry seal ${format}\0${cluster}\0${name}`, 'utf8')
}
