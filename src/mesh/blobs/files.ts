/**
 * @module The files of this node's blob driver, as the copies of a mesh know them, each with its line in the ledger.
 */
import type { BlobDriver } from '../../blobs/driver.ts'
import { type Digest, parseDigest } from '../../registry/digest.ts'
import { unwrap } from '../../registry/result.ts'
import type { CopyFiles } from '../copies.ts'
import type { CopyLedger } from './ledger.ts'

export class DriverFiles implements CopyFiles {
  readonly #driver: BlobDriver
  readonly #ledger: CopyLedger

  constructor(driver: BlobDriver, ledger: CopyLedger) {
    this.#driver = driver
    this.#ledger = ledger
  }

  async confirm(text: string): Promise<boolean> {
    const digest = digestIn(text)
    const found = await this.#driver.bin.confirm(digest)
    if (found === undefined) return false
    const known = this.#ledger.get(digest)
    return known === undefined || known.bytes === found.sizeBytes
  }

  async discard(text: string, to: 'trash' | 'nowhere'): Promise<void> {
    const digest = digestIn(text)
    const { bin, inventory, reader } = this.#driver
    reader.forget(digest)
    if ((await inventory.stat(digest)) !== undefined) {
      if (to === 'nowhere') await bin.remove(digest)
      else {
        const { failed, error } = await bin.trash([digest])
        if (failed.length > 0) throw error
      }
    }
    await this.#ledger.remove(digest)
  }

  async purge(text: string): Promise<void> {
    const { failed, error } = await this.#driver.bin.purge([digestIn(text)], { inPlace: false })
    if (failed.length > 0) throw error
  }

  async *list(): AsyncIterable<string> {
    const { inventory } = this.#driver
    for await (const { digests } of inventory.list()) yield* digests ?? []
    yield* inventory.listTrash()
  }
}

/** Names of files and keys of rows: nothing else comes here. */
export function digestIn(text: string): Digest {
  return unwrap(parseDigest(text))
}
