/** @module The breaks of copies of a tag: what comes, what stays whose, and what a stop or a collection leaves. */
import { vitest } from '../breaks.mjs'

const copy = vitest('http', 'test/http/sync/copy.test.ts')
const attached = vitest('http', 'test/http/sync/attached.test.ts')
const safety = vitest('http', 'test/http/sync/copy-safety.test.ts')

export const BREAKS = [
  {
    what: 'syncs: any upstream links what a repository holds by naming its digest',
    file: 'src/sync/copy/blobs.ts',
    find: 'return holders.some(([, holder]) => mayLinkFrom(holder))',
    replace: 'return [mayLinkFrom].length > 0 && holders.length > 0',
    guard: copy,
  },
  {
    what: 'syncs: a blob that is coming is fetched a second time',
    file: 'src/sync/copy/blobs.ts',
    find: 'if (running !== undefined) {',
    replace: 'if (running !== undefined && digest.length === 0) {',
    guard: copy,
  },
  {
    what: 'syncs: a disk at its reserve takes more',
    file: 'src/sync/copy/blobs.ts',
    find: 'isShort = space.freeBytes - bytes <= space.reserveBytes',
    replace: 'isShort = space.freeBytes - bytes < 0 && space.reserveBytes < 0',
    guard: copy,
  },
  {
    what: 'syncs: the places of blobs are not kept',
    file: 'src/sync/copy/blobs.ts',
    find: 'for (const slot of slots) places.push(await slot.take(signal))',
    replace: 'for (const slot of slots.slice(9)) places.push(await slot.take(signal))',
    guard: copy,
  },
  {
    what: 'syncs: wrong bytes of a manifest are given up the first time',
    file: 'src/sync/copy/source-repository.ts',
    find: 'if (attempt < attemptsMax) continue\n',
    replace: 'if (attempt < attemptsMax - 1) continue\n',
    guard: copy,
  },
  {
    what: 'syncs: indexes nest without end',
    file: 'src/sync/copy/tree.ts',
    find: 'if (walk.depth > depthMax)',
    replace: 'if (walk.depth > 100 * depthMax)',
    guard: copy,
  },
  {
    what: 'syncs: what upstream lacks is left out in silence',
    file: 'src/sync/copy/tree.ts',
    find: 'if (walk.isSparse) return false',
    replace: 'if (walk.depth >= 0) return false',
    guard: copy,
  },
  {
    what: 'syncs: a tag that was deleted here comes back',
    file: 'src/sync/copy/tag-move.ts',
    find: 'if (!wasHere || rules.overwrite)',
    replace: 'if (wasHere || !wasHere)',
    guard: copy,
  },
  {
    what: 'syncs: a tag that was set back by hand counts as its own',
    file: 'src/sync/copy/tag-move.ts',
    find: 'row.digest === wrote && this.#isMine(row)',
    replace: "row.digest === wrote && row.by !== ''",
    guard: copy,
  },
  {
    what: 'syncs: a push between the last look and the move is lost',
    file: 'src/sync/copy/tag-move.ts',
    find: ": { check: 'unchanged', in: 'tags', key, row },",
    replace: ": { check: 'present', in: 'tags', key },",
    guard: safety,
  },
  {
    what: 'syncs: the tag is not looked at again when it moves',
    file: 'src/sync/copy/tag-move.ts',
    find: "? { check: 'absent', in: 'tags', key }",
    replace: "? { check: 'none', in: 'tags', prefix: ['nobody'] }",
    guard: safety,
  },
  {
    what: 'syncs: a tag moves to what a collection took meanwhile',
    file: 'src/sync/copy/tag-move.ts',
    find: 'this.checks = it.placed.map((digest) => ({',
    replace: 'this.checks = it.placed.slice(9).map((digest) => ({',
    guard: safety,
  },
  {
    what: 'syncs: what is listed as a referrer is believed',
    file: 'src/sync/copy/attached.ts',
    find: 'return manifest.subject?.digest.digest === subject',
    replace: "return manifest.subject?.digest.digest !== 'x' || subject === undefined",
    guard: attached,
  },
  {
    what: 'syncs: what is attached hides that some of it failed',
    file: 'src/sync/copy/attached.ts',
    find: 'if (!isGone(error)) this.#failure ??= error',
    replace: 'if (isGone(error)) this.#failure ??= undefined',
    guard: attached,
  },
  {
    what: 'syncs: what was signed late is looked for at every run',
    file: 'src/sync/copy/late.ts',
    find: 'return row?.local === local && row.upstream === digest',
    replace: 'return row?.local === local && row.upstream === undefined',
    guard: attached,
  },
  {
    what: 'syncs: a client that pulls a blob waits as the rate of a sync says',
    file: 'src/sync/copy/source-repository.ts',
    find: 'return this.#isHurried() ? 0 : ms',
    replace: 'return this.#isHurried() ? ms : ms',
    guard: copy,
  },
  {
    what: 'syncs: an older note is written over the row of a move',
    file: 'src/sync/journal.ts',
    find: "if (this.#waiting.has(textOf('syncTags', [source, repository, tag]))) await this.flush()",
    replace: 'void [source, repository, tag]',
    guard: vitest('unit', 'test/unit/sync/journal.test.ts'),
  },
]
