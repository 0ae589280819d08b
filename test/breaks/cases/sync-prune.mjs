/**
 * @module The breaks of what a synchronisation promises of deletions: what is deleted, what waits, what stays.
 */
import { vitest } from '../breaks.mjs'

const unit = (file) => vitest('unit', `test/unit/${file}.test.ts`)
const prune = unit('sync/prune/prune')
const property = vitest('unit', 'test/property/sync-prune.test.ts')
const peer = vitest('http', 'test/http/sync/fastregistry-source.test.ts')

export const BREAKS = [
  {
    what: 'prune: a tag of somebody else is deleted',
    file: 'src/sync/prune/owned.ts',
    find: ' && isWriterOf(metadata, source, row.by)',
    replace: '',
    guard: property,
  },
  {
    what: 'prune: a tag that was moved here is deleted',
    file: 'src/sync/prune/owned.ts',
    find: 'row?.digest === known.wrote && isWriterOf',
    replace: 'row !== undefined && isWriterOf',
    guard: prune,
  },
  {
    what: 'prune: one pass is enough',
    file: 'src/sync/prune/pass.ts',
    find: 'export const passesWanted = 2',
    replace: 'export const passesWanted = 1',
    guard: prune,
  },
  {
    what: 'prune: a tag that was listed again stays counted',
    file: 'src/sync/prune/pass.ts',
    find: 'if (missing !== undefined) await journal.noteTag(it, rest)',
    replace: '',
    guard: prune,
  },
  {
    what: 'prune: an empty listing is believed',
    file: 'src/sync/prune/pass.ts',
    find: "listing === 'unknown' || listing.listed.size === 0",
    replace: "listing === 'unknown'",
    guard: prune,
  },
  {
    what: 'prune: a list without repositories is believed',
    file: 'src/sync/prune/pass.ts',
    find: 'if (this.#seen.size > 0) {',
    replace: 'if (this.#seen.size >= 0) {',
    guard: prune,
  },
  {
    what: 'prune: a signature goes by itself',
    file: 'src/sync/prune/pass.ts',
    find: 'if (followedDigest(tag) !== undefined) continue\n',
    replace: '',
    guard: prune,
  },
  {
    what: 'prune: an upstream that cannot be asked counts as a proof',
    file: 'src/sync/prune/confirm.ts',
    find: "this.#signal.throwIfAborted()\n      return 'unknown'",
    replace: "this.#signal.throwIfAborted()\n      return 'proven'",
    guard: property,
  },
  {
    what: 'prune: what upstream has is deleted',
    file: 'src/sync/prune/confirm.ts',
    find: "return rule === 'unselected' ? 'proven' : 'back'",
    replace: "return rule === 'unselected' ? 'proven' : 'proven'",
    guard: property,
  },
  {
    what: 'prune: a push that comes in between is deleted',
    file: 'src/sync/prune/deletion.ts',
    find: 'const checks: Check[] = [...dropped.checks]',
    replace: 'const checks: Check[] = []',
    guard: prune,
  },
  {
    what: 'prune: the signature of an image that a tag holds goes',
    file: 'src/sync/prune/deletion.ts',
    find: 'if (tags.some(([, , tag]) => !this.#isNamesake(it, tag, digest))) return true',
    replace: '',
    guard: prune,
  },
  {
    what: 'prune: the first plan of a source does not wait',
    file: 'src/sync/prune/prune.ts',
    find: "if (isFirst) ofAll.push('it is the first plan of the source')",
    replace: '',
    guard: prune,
  },
  {
    what: 'prune: much of a repository does not wait',
    file: 'src/sync/prune/prune.ts',
    find: 'if (count * 100 > maxPercent * owned)',
    replace: 'if (count * 100 > maxPercent * owned * 100)',
    guard: prune,
  },
  {
    what: 'prune: a list of repositories that has shrunk does not wait',
    file: 'src/sync/prune/prune.ts',
    find: 'if (missed.hasListShrunk) ofAll',
    replace: 'if (missed.isCut) ofAll',
    guard: prune,
  },
  {
    what: 'prune: a plan is applied with other filters',
    file: 'src/sync/prune/apply.ts',
    find: 'if (row.fingerprint !== planFingerprintOf(source))',
    replace: "if (row.fingerprint === '')",
    guard: prune,
  },
  {
    what: 'prune: a plan is applied to what was looked at since',
    file: 'src/sync/prune/apply.ts',
    find: 'return missing !== undefined && missing.passes >= passesWanted',
    replace: 'return missing?.passes !== 0',
    guard: prune,
  },
  {
    what: 'fastregistry: what a peer has from here comes back',
    file: 'src/sync/sources/fastregistry.ts',
    find: 'if (isOfSync && this.#options.isEcho(',
    replace: 'if (!isOfSync && this.#options.isEcho(',
    guard: peer,
  },
  {
    what: 'fastregistry: an image that comes again from a peer is taken for an echo',
    file: 'src/sync/sources/echo.ts',
    find: 'known === undefined || isWriterOf(metadata, source, known.by)',
    replace: 'known === undefined',
    guard: peer,
  },
  {
    what: 'fastregistry: a history that stands still is read for ever',
    file: 'src/sync/sources/fastregistry.ts',
    find: ' || (next !== undefined && last === after)',
    replace: '',
    guard: peer,
  },
  {
    what: 'fastregistry: a history is asked for as nobody',
    file: 'src/sync/sources/fastregistry.ts',
    find: "scope: '', ...ownHeaders }",
    replace: "scope: '' }",
    guard: peer,
  },
]
