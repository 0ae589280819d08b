/** @module The breaks of moving a tag: what a push may do to it, and what has to go with it. */
import { vitest } from '../breaks.mjs'

const moves = vitest('unit', 'test/unit/metadata/move-tag.test.ts')

const operations = vitest('http', 'test/http/admin/operations.test.ts')

export const BREAKS = [
  {
    what: 'operations: a tag moves wherever it points',
    file: 'src/repositories/operations.ts',
    find: 'if (current !== from) throw changed(tag, current)',
    replace: 'if (current !== from) expected = undefined',
    guard: operations,
  },
  {
    what: 'operations: tags of one image come back one by one, or not at all',
    file: 'src/repositories/operations.ts',
    find: 'const undoLooksMax = 10',
    replace: 'const undoLooksMax = 1',
    guard: operations,
  },
  {
    what: 'operations: an id is a right',
    file: 'src/admin/tags/operations.ts',
    find: "requireOn(asker, operation.kind === 'move' ? ['push'] : ['push', 'delete'], repository)",
    replace: '',
    guard: operations,
  },
  {
    what: 'operations: a delete that is taken back takes other deletes along',
    file: 'src/repositories/operations.ts',
    find: 'if (row.operation === id) targets',
    replace: 'if (id !== "") targets',
    guard: operations,
  },
  {
    what: 'operations: a tag cannot be called as an endpoint',
    file: 'src/admin/admin-api.ts',
    find: 'parentOf(it.endpoint.path) === parent && fits(it)',
    replace: 'it.endpoint.path === path && parent !== path',
    guard: operations,
  },
  {
    what: 'the condition of a push is not checked where the tag moves',
    file: 'src/metadata/apply/move-tag.ts',
    find: 'if (move.condition === undefined && !move.isImmutable) return undefined',
    replace: 'if (!move.isImmutable) return undefined',
    guard: moves,
  },
  {
    what: 'a condition does not hold and the tag moves all the same',
    file: 'src/metadata/edits.ts',
    find: 'if (condition !== undefined && !holdsFor(condition, current)) {',
    replace: 'if (condition !== undefined && holdsFor(condition, current) === undefined) {',
    guard: vitest('http', 'test/http/registry/conditional.test.ts'),
  },
  {
    what: 'an immutable tag goes elsewhere',
    file: 'src/metadata/edits.ts',
    find: 'if (!isImmutable || current === undefined || current === digest) return undefined',
    replace: 'if (isImmutable || current === undefined || current === digest) return undefined',
    guard: moves,
  },
  {
    what: 'a moved tag forgets what it pointed at',
    file: 'src/metadata/edits.ts',
    find: 'const previous = [{ digest: before.digest, replacedAt: now, by }, ...before.previous]',
    replace: 'const previous = [...before.previous]',
    guard: moves,
  },
  {
    what: 'a moved tag is not in the index by digest',
    file: 'src/metadata/edits.ts',
    find: "{ change: 'put', in: 'tagsByDigest', key: [repository, row.digest, tag], row: true },",
    replace: '',
    guard: moves,
  },
  {
    what: 'a manifest that lost its tag a moment ago is as old as before',
    file: 'src/metadata/apply/move-tag.ts',
    find: 'if (from !== undefined) raiseLoser(rows, [repository, from], at)',
    replace: '',
    guard: moves,
  },
  {
    what: 'a tag moves at the time of the machine that applies it',
    file: 'src/metadata/apply/move-tag.ts',
    find: 'const row = movedTag(before, digest, at, by)',
    replace: 'const row = movedTag(before, digest, Date.now(), by)',
    guard: vitest('solo', 'test/solo/history.test.ts'),
  },
  {
    what: 'a tag that may not move is tried again and again',
    file: 'src/metadata/retry.ts',
    find: 'if (outcome.refusal !== undefined) return outcome.refusal',
    replace: '',
    guard: vitest('unit', 'test/unit/metadata/retry.test.ts'),
  },
  {
    what: 'a rename overwrites what is pushed to the new name meanwhile',
    file: 'src/repositories/delete-rename.ts',
    find: "? { check: 'absent', in: 'tags', key }",
    replace: "? { check: 'none', in: 'tags', prefix: ['no-such'] }",
    guard: vitest('unit', 'test/unit/repositories/rename.test.ts'),
  },
]
