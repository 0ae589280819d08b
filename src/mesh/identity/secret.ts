/**
 * @module The secret of a mesh, as the operator writes it, and the keys that are made from it: one for each
 * use, so that what one of them shows helps with no other. The secret itself is sent nowhere.
 *
 * A file of secrets has one line, or two while the secret is changed: the new one first, the old one second.
 */
import { hkdfSync } from 'node:crypto'
import { MeshError } from './problem.ts'

/** Bytes of a secret: a shorter one can be found by trying. */
const secretBytesMin = 16
const secretBytesMax = 1_024

const keyBytes = 32

/** What a key is for. A joining node and its peer prove with different ones: no proof can be sent back. */
export type KeyUse = 'seal' | 'join-node' | 'join-peer'

export class MeshSecret {
  readonly #bytes: Buffer
  readonly #keys = new Map<KeyUse, Buffer>()

  /** Throws a MeshError 'secret' for less than 16 bytes, and for more than 1,024. */
  constructor(text: string) {
    this.#bytes = Buffer.from(text, 'utf8')
    if (this.#bytes.length < secretBytesMin) {
      throw new MeshError(
        'secret',
        `the secret of the mesh has ${this.#bytes.length} bytes; use ${secretBytesMin} random bytes or more`,
      )
    }
    if (this.#bytes.length > secretBytesMax) {
      throw new MeshError('secret', `the secret of the mesh has more than ${secretBytesMax} bytes`)
    }
  }

  /** 32 bytes by HKDF-SHA-256: always the same for a use. */
  key(use: KeyUse): Buffer {
    let key = this.#keys.get(use)
    if (key === undefined) {
      const made = hkdfSync('sha256', this.#bytes, '', `fastregistry mesh 1 ${use}`, keyBytes)
      key = Buffer.from(made)
      this.#keys.set(use, key)
    }
    return key
  }
}

/** The secrets of a node, the one that it uses first: one or two. */
export type MeshSecrets = readonly [MeshSecret, ...MeshSecret[]]

/**
 * The secrets in the text of a file. White space around a line is no part of it; empty lines are passed over.
 * Throws a MeshError 'secret' for none, for more than two, and for one that is too short.
 */
export function parseSecrets(text: string): MeshSecrets {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  const [first, ...others] = [...new Set(lines)].slice(0, 3).map((line) => new MeshSecret(line))
  if (first === undefined) {
    throw new MeshError('secret', 'there is no secret of the mesh; write one into the file')
  }
  if (others.length > 1) {
    throw new MeshError(
      'secret',
      'the file has more than two secrets of the mesh: write the new one, and the old one below it',
    )
  }
  return [first, ...others]
}
