/** @module The breaks of what must not be lost: collections, copies, undeletes. */
import { vitest } from '../breaks.mjs'

const kept = vitest('http', 'test/http/gc-kept.test.ts')

export const BREAKS = [
  {
    what: 'a tag that is named after its own image does not keep it',
    file: 'src/gc/mark-repository.ts',
    find: "if (digest === subject) return 'is named after its own manifest'",
    replace: '',
    guard: kept,
  },
  {
    what: 'a ring of tags that are named after each other does not keep itself',
    file: 'src/gc/mark-repository.ts',
    find: 'if (rings.has(tag)) ',
    replace: 'if (rings.size > 1e9) ',
    guard: kept,
  },
  {
    what: 'the name of a tag alone makes it a referrer',
    file: 'src/gc/mark-repository.ts',
    find: 'return isAttached(bytes, subject, (listed)',
    replace: 'return bytes.byteLength > 0 || isAttached(bytes, subject, (listed)',
    guard: kept,
  },
  {
    what: 'what an unknown type mentions is no edge',
    file: 'src/registry/unknown-manifest.ts',
    find: "if (digest.kind !== 'computed' || known.has(text)) return",
    replace: 'if (text.length > 0) return',
    guard: kept,
  },
  {
    what: 'null is not absence',
    file: 'src/registry/manifest.ts',
    find: 'layers: v.nullish(v.pipe(v.array(descriptorSchema)',
    replace: 'layers: v.optional(v.pipe(v.array(descriptorSchema)',
    guard: vitest('http', 'test/http/registry-manifest-rules.test.ts'),
  },
  {
    what: 'content that browsers run is taken',
    file: 'src/registry/media-type.ts',
    find: "return type.startsWith('application/') && !ACTIVE",
    replace: 'return !ACTIVE',
    guard: vitest('http', 'test/http/registry-manifest-rules.test.ts'),
  },
]
