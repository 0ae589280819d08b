/**
 * @module Files of secrets that all nodes of a mesh have in common: keys that sign tokens and attestations, access
 * tokens, logins that were taken back. Each is a sealed row as well. A file that changes here becomes the row; a row
 * that changes elsewhere becomes the file, which the rest of the program follows as it does on one node.
 */

import { changeSecretFile, readIfThere, secretFilePaths } from '../../auth/secret-file.ts'
import type { Seals } from '../../mesh/identity/seals.ts'
import type { MetadataStore } from '../../metadata/port.ts'
import type { SecretRow } from '../../metadata/rows/mesh.ts'
import type { Check } from '../../metadata/transaction.ts'
import type { Logger } from '../../observability/logger.ts'
import { authorityName } from './identity.ts'

/** Between two looks at rows and files, ms: as often as files are looked at anyway. */
const lookEveryMs = 1_000

/** Attempts at a change that others change too, in one look. */
const attemptsMax = 5

export interface SharedSecretsParts {
  readonly metadata: Pick<MetadataStore, 'get' | 'commit'>
  readonly seals: Seals
  readonly storagePath: string
  readonly logger: Logger
}

interface SharedFile {
  readonly name: string
  readonly path: string
  /** What file and row both said last; undefined: neither was there. */
  last: string | undefined
}

export class SharedSecrets {
  readonly #parts: SharedSecretsParts
  readonly #files: readonly SharedFile[]
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined

  constructor(parts: SharedSecretsParts) {
    this.#parts = parts
    const paths = secretFilePaths(parts.storagePath)
    this.#files = Object.entries(paths).map(([name, path]) => ({ name, path, last: undefined }))
  }

  /**
   * Resolves when each row that is there is the file too: to be awaited before anything reads the files. Rejects with
   * a MeshError 'sealed' when the secret of the mesh does not open a row.
   */
  async start(): Promise<void> {
    for (const file of this.#files) await this.#takeRow(file)
    // A node that is ready has sealed all with the new secret: the next one may start without the old one.
    await this.#sealAgain(authorityName).catch(() => undefined)
    this.#timer = setInterval(() => {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined
      })
    }, lookEveryMs)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
  }

  /** Never rejects: the next look comes. */
  async #look(): Promise<void> {
    for (const file of this.#files) {
      try {
        await this.#takeRow(file)
        await this.#giveFile(file)
      } catch (error) {
        const { logger } = this.#parts
        const reason = error instanceof Error ? error.message : String(error)
        logger.warn(
          { event: 'mesh', file: file.path, reason },
          'not shared with the other nodes yet',
        )
      }
    }
    await this.#sealAgain(authorityName).catch(() => undefined)
  }

  #row(name: string): SecretRow | undefined {
    return this.#parts.metadata.get('secrets', name)
  }

  #textOf(name: string, row: SecretRow): { readonly text: string; readonly isOld: boolean } {
    const { bytes, isOld } = this.#parts.seals.open(name, row.sealed)
    return { text: bytes.toString('utf8'), isOld }
  }

  /** What other nodes have changed, with what was changed here meanwhile. */
  async #takeRow(file: SharedFile): Promise<void> {
    const row = this.#row(file.name)
    if (row === undefined) return
    const { text, isOld } = this.#textOf(file.name, row)
    if (isOld) await this.#sealAgain(file.name)
    if (text === file.last) return
    await changeSecretFile(file.path, (here) => {
      const merged = here === undefined ? text : merge(file.last, here, text)
      return merged === here ? undefined : merged
    })
    file.last = text
  }

  /** What was changed here. */
  async #giveFile(file: SharedFile): Promise<void> {
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const here = await readIfThere(file.path)
      if (here === undefined || here === file.last) return
      const row = this.#row(file.name)
      if (await this.#put(file.name, row, Buffer.from(here, 'utf8'))) {
        file.last = here
        return
      }
      await this.#takeRow(file)
    }
  }

  /** While the secret of the mesh is changed: with the new one. */
  async #sealAgain(name: string): Promise<void> {
    const row = this.#row(name)
    if (row === undefined) return
    const { bytes, isOld } = this.#parts.seals.open(name, row.sealed)
    if (isOld) await this.#put(name, row, bytes)
  }

  /** False: another node was first. */
  async #put(name: string, row: SecretRow | undefined, bytes: Buffer): Promise<boolean> {
    const { metadata, seals } = this.#parts
    const sealed = Uint8Array.from(seals.seal(name, bytes))
    const check: Check =
      row === undefined
        ? { check: 'absent', in: 'secrets', key: name }
        : { check: 'unchanged', in: 'secrets', key: name, row }
    const { applied } = await metadata.commit({
      checks: [check],
      changes: [{ change: 'put', in: 'secrets', key: name, row: { sealed } }],
    })
    return applied
  }
}

/**
 * What both sides have made of a file: lists keep what either has added, without what either has taken away. Where
 * there is no list, what all nodes have counts.
 */
export function merge(before: string | undefined, here: string, there: string): string {
  if (here === before || here === there) return there
  const [was, own, others] = [before, here, there].map(listIn)
  if (own === undefined || others === undefined || own.name !== others.name) return there
  const known = new Set((was?.entries ?? []).map((it) => JSON.stringify(it)))
  const mine = new Set(own.entries.map((it) => JSON.stringify(it)))
  const theirs = new Set(others.entries.map((it) => JSON.stringify(it)))
  const kept = others.entries.filter((it) => {
    const text = JSON.stringify(it)
    return mine.has(text) || !known.has(text)
  })
  const added = own.entries.filter((it) => {
    const text = JSON.stringify(it)
    return !known.has(text) && !theirs.has(text)
  })
  return `${JSON.stringify({ [own.name]: [...kept, ...added] }, undefined, 2)}\n`
}

/** The one list that a file is: access tokens, or logins that were taken back. */
function listIn(
  text: string | undefined,
): { readonly name: string; readonly entries: readonly unknown[] } | undefined {
  if (text === undefined) return undefined
  try {
    const fields = Object.entries(JSON.parse(text) as object)
    const [field, ...more] = fields
    if (field === undefined || more.length > 0 || !Array.isArray(field[1])) return undefined
    return { name: field[0], entries: field[1] as unknown[] }
  } catch {
    return undefined
  }
}
