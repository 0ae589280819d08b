/**
 * @module What is broken on purpose, one entry a promise: the change of the code, and the test that
 * has to fail then. `run.mjs` tries them; `test/README.md` shows them beside the invariants.
 */

const vitest = (project, file, env = {}) => ({ project, file, env })
const crash = vitest('crash', 'test/crash/crash.test.ts', { FASTREGISTRY_CRASH_CYCLES: '15' })

/** `invariant` is the number in section 4 of the design; `find` stands once in the file. */
export const BREAKS = [
  {
    invariant: 1,
    what: '201 of a blob before its rows are written',
    file: 'src/distribution/commit-blob.ts',
    find: 'outcome = await metadata.commit({ checks: [], changes: [...bytes, ...changes] })',
    replace:
      'metadata.commit({ checks: [], changes: [...bytes, ...changes] }).catch(() => undefined)\n    outcome = { applied: true }',
    guard: crash,
  },
  {
    invariant: 1,
    what: 'a flush that is left out',
    file: 'src/storage/upload-file.ts',
    find: 'isFlushed ? disk.flush(this.#file) : undefined',
    replace: 'undefined',
    guard: vitest('fault', 'test/fault/disk-faults.test.ts'),
  },
  {
    invariant: 1,
    what: '202 of a chunk before its offset is written',
    file: 'src/distribution/uploads.ts',
    find: 'await this.#acknowledge(session)\n      return session.offsetBytes',
    replace: 'return session.offsetBytes',
    guard: vitest('http', 'test/http/registry-restart.test.ts'),
  },
  {
    invariant: 2,
    what: 'the length of a file is not compared with its row',
    file: 'workers/pager.ts',
    find: 'if (stats.size !== sizeBytes) {',
    replace: 'if (stats.size < 0) {',
    guard: vitest('unit', 'test/ports/blobs.test.ts'),
  },
  {
    invariant: 2,
    what: 'a source that fails ends the answer as if all were well',
    file: 'src/http/engine-exchange.ts',
    find: 'pumpFailed(error: unknown): void {\n    this.cut()',
    replace: 'pumpFailed(error: unknown): void {\n    this.pumpEnded()',
    guard: vitest('http', 'test/http/engine-uws.test.ts'),
  },
  {
    invariant: 3,
    what: 'the digest of an upload is not compared',
    file: 'src/storage/upload-file.ts',
    find: 'if (actual !== expected) return actual',
    replace: '',
    guard: vitest('unit', 'test/ports/blobs.test.ts'),
  },
  {
    invariant: 3,
    what: 'a manifest is taken without its blobs',
    file: 'src/distribution/check-children.ts',
    find: 'if (missing.size > 0) throw blobsUnknown([...missing])',
    replace: 'if (missing.size > 1e9) throw blobsUnknown([...missing])',
    guard: vitest('http', 'test/http/registry-manifest-rules.test.ts'),
  },
  {
    invariant: 3,
    what: 'what a manifest relies on is looked at, but not held until its commit',
    file: 'src/distribution/check-children.ts',
    find: 'return checks\n}\n\nfunction mayBeMissing',
    replace: 'return checks.slice(0, 0)\n}\n\nfunction mayBeMissing',
    guard: vitest('http', 'test/http/registry-concurrency.test.ts'),
  },
  {
    invariant: 2,
    what: 'a file that was written to is served without a look at its bytes',
    file: 'src/storage/worker-genuine.ts',
    find: 'return mtimeMs > writtenBefore - clockLagMs',
    replace: 'return mtimeMs > writtenBefore + clockLagMs * 1e12',
    guard: vitest('http', 'test/http/registry-changed-files.test.ts'),
  },
  {
    invariant: 4,
    what: 'a touch raises nothing',
    file: 'src/storage/transaction.ts',
    find: "rows.put('blobs', change.key, { ...row, linkedAt: Math.max(row.linkedAt, change.at) })",
    replace: "rows.put('blobs', change.key, row)",
    guard: vitest('unit', 'test/ports/metadata.test.ts'),
  },
  {
    invariant: 5,
    what: 'the transaction does not look whether a row is unchanged',
    file: 'src/storage/transaction.ts',
    find: 'return isDeepStrictEqual(rows.get(check.in, check.key), check.row)',
    replace: 'return isDeepStrictEqual(check.row, check.row)',
    guard: vitest('unit', 'test/ports/metadata.test.ts'),
  },
  {
    invariant: 6,
    what: 'a blob is read without a link of the repository',
    file: 'src/distribution/pull.ts',
    find: "const isLinked = metadata.get('links', [repository, digest]) !== undefined",
    replace: 'const isLinked = repository.length > 0',
    guard: vitest('http', 'test/http/registry-mount.test.ts'),
  },
  {
    invariant: 6,
    what: 'an upload session is used through another repository',
    file: 'src/distribution/uploads.ts',
    find: 'if (row === undefined || row.repository !== repository) {',
    replace: 'if (row === undefined || repository.length === 0) {',
    guard: vitest('http', 'test/http/registry-upload-sessions.test.ts'),
  },
  {
    invariant: 7,
    what: 'a file without a row is not taken up',
    file: 'src/storage/reconcile-decisions.ts',
    find: 'const { applied } = await metadata.commit({ checks, changes })\n      if (applied && file',
    replace: 'const applied = checks.length > changes.length + 1\n      if (applied && file',
    guard: vitest('unit', 'test/unit/storage/reconcile.test.ts'),
  },
  {
    invariant: 8,
    what: 'a moved tag leaves its old index entry behind',
    file: 'src/distribution/push-manifest.ts',
    find: "changes.push({ change: 'delete', in: 'tagsByDigest', key: old })",
    replace: 'void old',
    guard: crash,
  },
  {
    invariant: 'one process a store',
    what: 'the lock is not taken',
    file: 'src/storage/store-lock.ts',
    find: 'if (libc !== undefined) return libc.lock(descriptor)',
    replace: 'if (libc !== undefined) return descriptor >= 0',
    guard: vitest('unit', 'test/unit/storage/store-lock.test.ts'),
  },
]
