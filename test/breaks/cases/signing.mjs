/**
 * @module The breaks of what is said of signatures: what counts, for which image, in which repository.
 */
import { vitest } from '../breaks.mjs'

const unit = (file) => vitest('unit', `test/unit/signing/${file}.test.ts`)
const http = vitest('http', 'test/http/signing/signatures.test.ts')

const signers = vitest('http', 'test/http/signing/signers.test.ts')

const options = vitest('http', 'test/http/signing/options.test.ts')

export const BREAKS = [
  {
    what: 'signing: an index is verified by what calls itself an attestation',
    file: 'src/signing/evidence.ts',
    find: '    if ((await exemptibleOf(metadata, repository, stored)) === undefined) images.push(digest.value)\n',
    replace:
      "    if (textOf(objectOf(member['annotations'])?.['vnd.docker.reference.type']) === undefined) images.push(digest.value)\n",
    guard: options,
  },
  {
    what: 'signing: an index has entries that other programs read otherwise',
    file: 'src/signing/evidence.ts',
    find: "  const members = listOf(index['manifests']).map((it) => plain(objectOf(it)))\n",
    replace: "  const members = listOf(index['manifests']).map((it) => objectOf(it))\n",
    guard: options,
  },
  {
    what: 'signing: the provenance of another image vouches',
    file: 'src/signing/verdicts/examine.ts',
    find: 'PROVENANCE.has(predicateType) && subjects.has(subject.digest)',
    replace: 'PROVENANCE.has(predicateType)',
    guard: options,
  },
  {
    what: 'signing: a signature counts for a tag that it does not name',
    file: 'src/signing/verdicts/policy.ts',
    find: '    .filter((finding) => tags.every((tag) => finding.tags?.includes(tag) === true))\n',
    replace: '',
    guard: options,
  },
  {
    what: 'signing: a verdict outlives the signature of an image that its index rests on',
    file: 'src/metadata/verdicts/drops.ts',
    find: '    this.#drop(repository, subject)\n    this.#dropLists(repository, subject)\n',
    replace: '    this.#drop(repository, subject)\n',
    guard: options,
  },
  {
    what: 'signing: a tag moves back after it was looked at',
    file: 'src/signing/gate.ts',
    find: "policy.mode === 'enforce' ? current.map(({ check }) => check) : []",
    replace: '[]',
    guard: unit('gate'),
  },
  {
    what: 'signing: who may only sign pushes images',
    file: 'src/distribution/push-manifest.ts',
    find: '    if (push.signsOnly === true) {\n',
    replace: '    if (push.signsOnly === undefined) {\n',
    guard: signers,
  },
  {
    what: 'signing: who may only sign takes a tag from an image',
    file: 'src/signing/attachment.ts',
    find: "  return it === undefined ? 'an image' : 'signatures'",
    replace: "  return 'signatures'",
    guard: signers,
  },
  {
    what: 'signing: who may only sign mounts layers',
    file: 'src/http/handlers/uploads.ts',
    find: "request.signsOnly === true ? undefined : query.get('mount')",
    replace: "query.get('mount')",
    guard: signers,
  },
  {
    what: 'signing: who may only sign uploads without end',
    file: 'src/http/handlers/uploads.ts',
    find: '    return bodyOf(request, this.#uploads.offset(repository, id, userOf(request)))\n',
    replace: '    return request\n',
    guard: signers,
  },
  {
    what: 'signing: a signature of another image counts',
    file: 'src/signing/verdicts/examine.ts',
    find: '  if (digest !== subject.digest) return mismatch([digest])\n  const made',
    replace: '  const made',
    guard: unit('examine'),
  },
  {
    what: 'signing: an attestation about another image counts',
    file: 'src/signing/verdicts/examine.ts',
    find: '  if (!subjects.has(subject.digest)) return { ...about, ...mismatch([...subjects]) }\n',
    replace: '',
    guard: unit('examine'),
  },
  {
    what: 'signing: any attestation is a signature',
    file: 'src/signing/verdicts/examine.ts',
    find: 'const isSignature = predicateType === signPredicateType',
    replace: 'const isSignature = true',
    guard: unit('examine'),
  },
  {
    what: 'signing: an envelope of a bundle may have several signatures',
    file: 'src/signing/formats/bundle.ts',
    find: "  if (envelope.signatures.length !== 1) throw new Unreadable('a bundle has exactly one signature')\n",
    replace: '',
    guard: unit('examine'),
  },
  {
    what: 'signing: base64 has several texts for the same bytes',
    file: 'src/signing/formats/encoding.ts',
    find: '  if (bytes.toString(encoding) !== value) throw',
    replace: '  if (bytes.byteLength < 0) throw',
    guard: unit('formats'),
  },
  {
    what: 'signing: CBOR believes a length before it is there',
    file: 'src/signing/formats/cbor.ts',
    find: "    if (this.#members > membersMax) throw new Unreadable('a CBOR item has too many members')\n",
    replace: '',
    guard: unit('formats'),
  },
  {
    what: 'signing: a larger curve may be signed with SHA-256',
    file: 'src/signing/keys/public-key.ts',
    find: "  secp384r1: 'sha384',",
    replace: "  secp384r1: 'sha256',",
    guard: unit('public-key'),
  },
  {
    what: 'signing: an image has nothing of the index that lists it',
    file: 'src/signing/signatures.ts',
    find: 'if (parent === digest || found.has(parent)) continue',
    replace: 'if (parent !== digest) continue',
    guard: http,
  },
  {
    what: 'signing: junk stands before what looks like a signature',
    file: 'src/signing/evidence.ts',
    find: 'if (isSignedType(row.artifactType))',
    replace: 'if (isSignedType(undefined))',
    guard: http,
  },
  {
    what: 'signing: a tag moves although what its verdict rests on is gone',
    file: 'src/distribution/push-manifest.ts',
    find: 'checks: [...checks, ...(admission?.checks ?? [])]',
    replace: 'checks',
    guard: unit('gate'),
  },
  {
    what: 'signing: an enforced policy lets pass what could not be verified',
    file: 'src/signing/gate.ts',
    find: "      if (policy.mode === 'enforce') throw error\n",
    replace: '',
    guard: unit('gate'),
  },
  {
    what: 'signing: a runnable image passes under the name of a signature',
    file: 'src/signing/gate.ts',
    find: 'if (it === undefined) return wanted',
    replace: 'if (it === undefined) return wanted.slice(0, 0)',
    guard: vitest('http', 'test/http/signing/gates.test.ts'),
  },
  {
    what: 'signing: two signatures of one key are two signers',
    file: 'src/signing/verdicts/policy.ts',
    find: 'if (countSigners(by, findings, matches) < atLeast)',
    replace: 'if (findings.length < atLeast)',
    guard: unit('policy'),
  },
  {
    what: 'signing: an undelete moves a tag that no policy has judged',
    file: 'src/repositories/undelete.ts',
    find: 'const tags = all.filter((tag) => !gated.has(tag))',
    replace: 'const tags = all',
    guard: vitest('http', 'test/http/signing/gates.test.ts'),
  },
  {
    what: 'signing: a sync brings tags that no policy has judged',
    file: 'src/server/sync/judge.ts',
    find: 'if (!gate.watches(local)) return',
    replace: 'if (gate.watches(local)) return',
    guard: vitest('http', 'test/http/signing/syncs.test.ts'),
  },
  {
    what: 'signing: a sync judges a tag without the signatures that move along',
    file: 'src/server/sync/judge.ts',
    find: 'new Map(attached.map((one) => [one.tag, one.digest]))',
    replace: 'new Map(attached.slice(0, 0).map((one) => [one.tag, one.digest]))',
    guard: vitest('http', 'test/http/signing/syncs.test.ts'),
  },
  {
    what: 'signing: a signature that may not come vouches for a tag',
    file: 'src/sync/copy/copier.ts',
    find: 'attached.tags.filter((one) => this.#moves.isFree(wantedOf(it), one, it))',
    replace: 'attached.tags',
    guard: vitest('http', 'test/http/signing/syncs.test.ts'),
  },
  {
    what: 'signing: a sync brings what can be run under the name of a signature',
    file: 'src/server/sync/judge.ts',
    find: "if (typeof said === 'string') refused.add(one.tag)",
    replace: "if (typeof said === 'string') refused.clear()",
    guard: vitest('http', 'test/http/signing/syncs.test.ts'),
  },
  {
    what: 'signing: an index that mentions an image lends it its signature',
    file: 'src/signing/evidence.ts',
    find: "if (members.some((it) => it['digest'] === digest)) indexes.push",
    replace: 'if (members.length >= 0) indexes.push',
    guard: vitest('http', 'test/http/signing/gates.test.ts'),
  },
  {
    what: 'signing: another spelling of layers hides what runs',
    file: 'src/signing/exemption.ts',
    find: 'Object.keys(object).every(isPlain)',
    replace: 'Object.keys(object).some(isPlain)',
    guard: vitest('http', 'test/http/signing/gates.test.ts'),
  },
]
