/**
 * @module Rules of what belongs to one part: the time to `runtime/clock.ts`, the folder of the blobs and
 * the word for where a blob's bytes are to the store.
 */
import { expect, test } from 'vitest'
import { type Exceptions, notListed } from '../support/exceptions.ts'
import { readSourceFiles, type SourceFile } from '../support/source-tree.ts'

const files = readSourceFiles('src', 'workers')

/** Files that ask the machine for the time themselves. */
const OWN_TIME: Exceptions = {
  // These stay: a worker thread is handed no clock, and measures its own work.
  'src/blobs/files/worker/upload-file.ts': 'a worker measures its own work',
  'src/gc/worker/task.ts': 'a worker measures its own work',
  'src/metadata/lmdb/worker/writer.ts': 'a worker measures its own work',
  'src/signing/worker/task.ts': 'a worker measures its own work',
  'src/storage/worker/reconcile-walk.ts': 'a worker measures its own work',
  'src/storage/worker/scrub-task.ts': 'a worker measures its own work',
  // These stay: no test has to move their time.
  'src/cli/commands/serve.ts': 'says how long the process took to start',
  'src/http/request-log.ts': 'a line of each request, with the time of the machine',
  'src/server.ts': 'the end of a process has a limit that no clock of a test may stretch',
  'src/storage/reconcile.ts': 'says how long the walk took',
  'src/ui/page/core/format.ts': 'a browser gives no part a clock',
  // These are to be given a clock.
  'src/admin/admin-api.ts': 'is to be given a clock',
  'src/admin/events/endpoints.ts': 'is to be given a clock',
  'src/admin/events/stream.ts': 'is to be given a clock',
  'src/auth/jwt.ts': 'is to be given a clock',
  'src/auth/secret-file.ts': 'is to be given a clock',
  'src/cli/commands/token.ts': 'is to be given a clock',
  'src/distribution/upload/body.ts': 'is to be given a clock',
  'src/http/handlers/mirror-answers.ts': 'is to be given a clock',
  'src/http/handlers/mirrored.ts': 'is to be given a clock',
  'src/observability/log-stream.ts': 'is to be given a clock',
  'src/server/http.ts': 'is to be given a clock',
  'src/upstream/client.ts': 'is to be given a clock',
}

/** Files that ask whether a blob's bytes are in the metadata or in a file. */
const KNOW_PLACE: Exceptions = {}

test('the time comes from the clock that a part is given', () => {
  const asks = files
    .filter(({ path }) => !/^src\/(runtime\/clock\.ts$|http\/engine\/)/.test(path))
    .filter((file) => /\b(?:Date|performance)\.now\b/.test(codeOf(file)))
  expect(notListed(paths(asks), OWN_TIME), 'a test moves the time instead of waiting').toEqual([])
})

test('the layout of the blobs on disk is the matter of their driver', () => {
  const know = files
    .filter(({ path }) => !path.startsWith('src/blobs/files/'))
    .filter(({ imports }) => imports.some(({ target }) => target === 'src/blobs/files/layout.ts'))
  expect(paths(know), 'bytes may be somewhere else, as in S3').toEqual([])
})

test('where the bytes of a blob are is the matter of the store', () => {
  const row = '(?:row|item|candidate|blob|trashed|before|it)'
  const forms = [
    // Compares or makes one.
    /\bplace\b[^\n]*'(?:inline|file)'/,
    // Reads it from a row, or from what was made from one.
    new RegExp(`(?:\\b${row}|\\))\\??\\.place\\b`),
    /\{[^}\n]*\bplace\b[^}\n]*\} = (?:row|item|candidate|blob|trashed)\b/,
  ]
  const know = files
    .filter(({ path }) => !/^src\/(blobs|metadata)\//.test(path))
    .filter((file) => forms.some((form) => form.test(codeOf(file))))
  expect(notListed(paths(know), KNOW_PLACE), 'a blob in S3 is at neither place').toEqual([])
})

function paths(some: readonly SourceFile[]): readonly string[] {
  return some.map(({ path }) => path)
}

/** The text without comments. */
function codeOf({ text }: SourceFile): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
}
