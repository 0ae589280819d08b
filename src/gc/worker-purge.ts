/**
 * @module What nobody can want back any more: deleted tags and manifests and swept blobs whose
 * undelete window has ended, pins that have expired. The end of removals that a plan showed before.
 */
import type { Digest } from '../registry/digest.ts'
import type { LmdbEnvironment } from '../storage/lmdb-environment.ts'
import type { DatabaseName, Databases } from '../storage/schema.ts'
import type { Step } from './worker-messages.ts'
import { WorkerRows } from './worker-rows.ts'
import { manifestBytesRemoval } from './worker-sweep.ts'

/** Rows read at once; the snapshot is renewed between them. */
const rowsAtOnce = 500

export function* purge(environment: LmdbEnvironment, before: number): Generator<Step> {
  const rows = new WorkerRows(environment)
  for (const { key, row } of all(environment, 'deletedTags')) {
    if (row.at >= before) continue
    yield commit('purged-tag', 0, [
      {
        checks: [{ check: 'unchanged', in: 'deletedTags', key, row }],
        changes: [{ change: 'delete', in: 'deletedTags', key }],
      },
    ])
  }
  for (const { key, row } of all(environment, 'deletedManifests')) {
    if (row.at >= before) continue
    const [repository, digest] = key
    yield commit('purged-manifest', row.row.sizeBytes, [
      {
        // Pushed again: then the push has removed the row.
        checks: [
          { check: 'unchanged', in: 'deletedManifests', key, row },
          { check: 'absent', in: 'manifests', key },
        ],
        changes: [
          { change: 'delete', in: 'deletedManifests', key },
          { change: 'delete', in: 'manifestHolders', key: [digest, repository] },
        ],
      },
      // With the last that had it the bytes go; while another has it, this one does nothing.
      manifestBytesRemoval(rows, digest),
    ])
  }
  for (const { key, row } of all(environment, 'trash')) {
    if (row.trashedAt >= before) continue
    if (row.place === 'file') yield { kind: 'purge-file', digest: key, row }
    else yield commit('purged-blob', row.sizeBytes, inlineBlob(key, row))
  }
  for (const { key, row } of all(environment, 'pins')) {
    if (row.expiresAt === undefined || row.expiresAt >= before) continue
    yield commit('expired-pin', 0, [
      {
        checks: [{ check: 'unchanged', in: 'pins', key, row }],
        changes: [{ change: 'delete', in: 'pins', key }],
      },
    ])
  }
}

/** Bytes that a push of the same blob has taken over stay; the note in the trash goes either way. */
function inlineBlob(key: Digest, row: Databases['trash']['row']) {
  return [
    {
      checks: [
        { check: 'unchanged', in: 'trash', key, row },
        { check: 'absent', in: 'blobs', key },
      ],
      changes: [
        { change: 'delete', in: 'blobBytes', key },
        { change: 'delete', in: 'trash', key },
      ],
    },
    {
      checks: [{ check: 'unchanged', in: 'trash', key, row }],
      changes: [{ change: 'delete', in: 'trash', key }],
    },
  ] as const
}

function commit(
  what: string,
  bytes: number,
  transactions: Extract<Step, { kind: 'commit' }>['transactions'],
): Step {
  return { kind: 'commit', what, item: undefined, bytes, transactions, trashes: undefined }
}

function* all<N extends DatabaseName>(
  environment: LmdbEnvironment,
  database: N,
): Generator<{ key: Databases[N]['key']; row: Databases[N]['row'] }> {
  let start: string | readonly string[] = ''
  while (true) {
    const range = { start, end: '\u{10ffff}', limit: rowsAtOnce }
    const batch = [...environment.entries(database, range)]
    for (const { key, value } of batch) yield { key, row: value } as never
    if (batch.length < rowsAtOnce) return
    const last = batch.at(-1)!.key as string | readonly string[]
    start =
      typeof last === 'string' ? `${last}\u0001` : [...last.slice(0, -1), `${last.at(-1)}\u0001`]
    environment.refresh()
  }
}
