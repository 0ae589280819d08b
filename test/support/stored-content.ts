/**
 * @module All that a registry keeps in its folder, as text that can be compared: for tests which say
 * that something writes nothing. Not one transaction goes unseen: each changes the first pages of
 * LMDB's file.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'

/** A line a file, but for what no reader sees (the table of LMDB's readers). */
function contentOf(storage: string): readonly string[] {
  return readdirSync(storage, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/(?:^|-)lock(?:\.mdb)?$/.test(entry.name))
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      return `${path} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`
    })
    .sort()
}

/**
 * Holds `work` to writing nothing. A server also writes by itself now and then; what `work` writes,
 * it writes every time: so once out of three is proof.
 */
export async function expectUnchanged(
  storage: string,
  what: string,
  work: () => Promise<unknown>,
): Promise<void> {
  for (let round = 1; ; round += 1) {
    const before = contentOf(storage)
    await work()
    const after = contentOf(storage)
    if (round < 3 && after.join() !== before.join()) continue
    expect(after, what).toEqual(before)
    return
  }
}
