/** @module The breaks of what must not be lost: collections, copies, undeletes. */
import { vitest } from '../breaks.mjs'

const kept = vitest('http', 'test/http/gc/kept.test.ts')

const attached = vitest('http', 'test/http/attached.test.ts')

export const BREAKS = [
  {
    what: 'a copy leaves the tags behind that are named after what it copies',
    file: 'src/repositories/copy.ts',
    find: 'all.tags.set(tag, target)',
    replace: 'void all.tags',
    guard: attached,
  },
  {
    what: 'a copy moves a tag of the target that holds more',
    file: 'src/repositories/copy.ts',
    find: 'if (there === undefined || there === target) return false',
    replace: 'if (there === undefined || there.length > 0) return false',
    guard: attached,
  },
  {
    what: 'a tag that goes with its manifest leaves no trace',
    file: 'src/metadata/edits.ts',
    find: 'changes.push(...removed.changes)',
    replace: "changes.push(...removed.changes.filter((it) => it.in !== 'deletedTags'))",
    guard: attached,
  },
  {
    what: 'an undelete links whatever the manifest names',
    file: 'src/repositories/undelete.ts',
    find: 'if (absent.has(child) || !childDigest.ok) continue',
    replace: 'if (!childDigest.ok) continue',
    guard: attached,
  },
  {
    what: 'a turn on an upload session is held however long its client sends nothing',
    file: 'src/distribution/upload/turns.ts',
    find: 'if (isEnding || holder.silentMs >= stallMs) holder.takeAway()',
    replace: 'if (isEnding) holder.takeAway()',
    guard: vitest('http', 'test/http/registry/upload-turns.test.ts'),
  },
  {
    what: 'a request is carried out whose client has left the line',
    file: 'src/distribution/upload/turns.ts',
    find: 'if (place.refusal !== undefined) throw place.refusal',
    replace: '',
    guard: vitest('http', 'test/http/registry/upload-turns.test.ts'),
  },
  {
    what: 'a copied store begins with any transaction',
    file: 'src/metadata/lmdb/environment.ts',
    find: 'if (!this.#mayWriteMuch) this.#beginSmall()',
    replace: '',
    guard: vitest('unit', 'test/unit/storage/backup-first-write.test.ts'),
  },
  {
    what: 'a ring of tags that are named after each other does not keep itself',
    file: 'src/gc/mark/repository.ts',
    find: 'if (rings.has(tag)) ',
    replace: 'if (rings.size > 1e9) ',
    guard: kept,
  },
  {
    what: 'the name of a tag alone makes it a referrer',
    file: 'src/gc/mark/repository.ts',
    find: 'return isAttached(bytes, subject, (listed)',
    replace: 'return bytes.byteLength > 0 || isAttached(bytes, subject, (listed)',
    guard: kept,
  },
  {
    what: 'what an unknown type mentions is no edge',
    file: 'src/registry/unknown-manifest.ts',
    find: "if (digest.kind !== 'computed' || known.has(text)) return",
    replace: "if (digest.kind !== 'computed' || known.has(text) || text !== '') return",
    guard: kept,
  },
  {
    what: 'null is not absence',
    file: 'src/registry/manifest.ts',
    find: 'layers: v.nullish(v.pipe(v.array(descriptorSchema)',
    replace: 'layers: v.optional(v.pipe(v.array(descriptorSchema)',
    guard: vitest('http', 'test/http/registry/manifest-rules.test.ts'),
  },
  {
    what: 'content that browsers run is taken',
    file: 'src/registry/media-type.ts',
    find: "return type.startsWith('application/') && !ACTIVE",
    replace: 'return !ACTIVE',
    guard: vitest('http', 'test/http/registry/manifest-rules.test.ts'),
  },
]
