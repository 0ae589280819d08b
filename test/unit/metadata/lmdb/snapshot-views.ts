/**
 * @module Views with shared and local rows in folders that go with the test, and snapshots of them.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { LmdbEnvironment } from '../../../../src/metadata/lmdb/environment.ts'
import { SnapshotSender } from '../../../../src/metadata/lmdb/snapshot/send.ts'

export const ROOM = { freeBytes: 1e12, reserveBytes: 0 }
export const CLUSTER = 'main'

/** The folder of the metadata, not made yet, in a store that goes with the test. */
export function metadataPath(whenDone: (remove: () => void) => void = onTestFinished): string {
  const store = mkdtempSync(join(tmpdir(), 'fastregistry-snapshot-'))
  whenDone(() => rmSync(store, { recursive: true, force: true }))
  return join(store, 'meta')
}

/** Rows of shared and of local tables, of this author. */
export async function fillView(metadata: string, author: string, rows: number): Promise<void> {
  await withView(metadata, (view) => {
    for (let from = 0; from < rows; from += 4_000) {
      view.writeSync(() => {
        for (let number = from; number < Math.min(rows, from + 4_000); number += 1) {
          view.put('pulls', ['team/app', `${author}-${number}`], number)
          view.put('verdicts', ['team/app', `${author}-${number}`], { at: number })
          if (number % 10 === 0) {
            view.put('manifestBytes', `${author}-${number}`, Buffer.alloc(5_000, number))
          }
        }
      })
    }
    view.writeSync(() => {
      view.put('system', 'schemaVersion', 1)
      view.put('system', 'stoppedAt', 77)
      view.put('cursors', author, 'here')
      view.put('uploads', author, { author })
    })
  })
}

export async function withView<T>(
  metadata: string,
  work: (view: LmdbEnvironment) => T | Promise<T>,
): Promise<T> {
  const view = new LmdbEnvironment(metadata, false)
  try {
    return await work(view)
  } finally {
    await view.close()
  }
}

export interface Contents {
  readonly author: string | undefined
  readonly pulls: number
  readonly bytes: number
  readonly local: number
  readonly schemaVersion: unknown
}

/** What a view has, in numbers; `author`: whose shared rows. */
export function contentsOf(metadata: string): Promise<Contents> {
  return withView(metadata, (view) => {
    const [key] = view.firstKeys('pulls', ['team/app'], 1) as string[][]
    const locals = ['verdicts', 'uploads', 'cursors', 'pullViolations', 'system'] as const
    return {
      author: key?.[1]?.replace(/-.*/, ''),
      pulls: view.count('pulls'),
      bytes: view.count('manifestBytes'),
      local: locals.reduce((sum, name) => sum + view.count(name), 0),
      schemaVersion: view.get('system', 'schemaVersion'),
    }
  })
}

/** The stream of a snapshot of the view, in one piece. */
export function streamOf(metadata: string, cluster = CLUSTER): Promise<Buffer> {
  return withView(metadata, async (environment) => {
    const sender = new SnapshotSender({ environment, metadata, cluster, room: ROOM })
    const snapshot = await sender.take()
    const pieces: Uint8Array[] = []
    for await (const piece of snapshot.bytes()) pieces.push(piece)
    return Buffer.concat(pieces)
  })
}

/** What is beside the metadata in its store. */
export function besides(metadata: string): string[] {
  return readdirSync(join(metadata, '..'))
    .filter((name) => name !== 'meta')
    .sort()
}
