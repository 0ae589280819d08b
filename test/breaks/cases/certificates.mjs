/**
 * @module The breaks of what is signed with certificates: who is proven, when, and by what.
 */
import { vitest } from '../breaks.mjs'

const unit = (file) => vitest('unit', `test/unit/signing/${file}.test.ts`)
const keyless = unit('keyless/keyless')
const notation = unit('notation/notation')
const policy = unit('policy')

export const BREAKS = [
  {
    what: 'certificates: the entry of a log may have another key',
    file: 'src/signing/keyless/entry.ts',
    find: 'return found.length === 1 && isEqual(found[0]!, maker)',
    replace: 'return found.length === 1',
    guard: keyless,
  },
  {
    what: 'certificates: a log without a beginning is believed',
    file: 'src/signing/keyless/sigstore.ts',
    find: 'read.tlogs.filter((log) => log.publicKey?.validFor?.start)',
    replace: 'read.tlogs',
    guard: keyless,
  },
  {
    what: 'certificates: a log without times may be out of use',
    file: 'src/signing/keyless/sigstore.ts',
    find: 'if (!isInUse)\n',
    replace: 'if (!isInUse && times.length < 0)\n',
    guard: keyless,
  },
  {
    what: 'certificates: the size of a tree may contradict its checkpoint',
    file: 'src/signing/keyless/entry.ts',
    find: "return size === proof.treeSize && root === proof.rootHash.toString('base64')",
    replace: 'return size !== undefined && root !== undefined',
    guard: unit('keyless/mutation'),
  },
  {
    what: 'certificates: whoever is proven is a signer',
    file: 'src/signing/verdicts/signed.ts',
    find: "return { ...part, result: 'wrong subject', reason }",
    replace: 'return part',
    guard: keyless,
  },
  {
    what: 'certificates: an identity of any root is the one that is meant',
    file: 'src/signing/verdicts/signers.ts',
    find: 'if (!roots.includes(wanted.root)) return false\n',
    replace: '',
    guard: keyless,
  },
  {
    what: 'certificates: a claim that a certificate lacks fits',
    file: 'src/signing/verdicts/signers.ts',
    find: 'text !== undefined && text.length <= matchedLengthMax && matches(glob, text)',
    replace: 'text === undefined || matches(glob, text)',
    guard: keyless,
  },
  {
    what: 'certificates: a revoked certificate counts',
    file: 'src/signing/verdicts/signed.ts',
    find: 'if (leaf !== undefined && isRevoked(how, leaf)) {',
    replace: 'if (leaf === undefined) {',
    guard: keyless,
  },
  {
    what: 'certificates: a key that has ended counts',
    file: 'src/signing/verdicts/signed.ts',
    find: 'if (untilMs === undefined || at < untilMs) return',
    replace: 'if (untilMs === undefined || at > 0) return',
    guard: keyless,
  },
  {
    what: 'certificates: an entry of a log needs no proof',
    file: 'src/signing/formats/proofs.ts',
    find: 'if (isProofNeeded && entries.some(({ proof }) => proof === undefined)) {',
    replace: 'if (isProofNeeded && entries.length > 100) {',
    guard: keyless,
  },
  {
    what: 'certificates: two identities of one entry are two signers',
    file: 'src/signing/verdicts/signers.ts',
    find: 'if (other !== undefined && !seat(other, asked)) continue\n',
    replace: '',
    guard: policy,
  },
  {
    what: 'certificates: an older scan counts beside the newest',
    file: 'src/signing/verdicts/policy.ts',
    find: '(isNewestOnly ? newestOf(meant, now) : meant)',
    replace: 'meant',
    guard: policy,
  },
  {
    what: 'certificates: an attestation of any age is young enough',
    file: 'src/signing/verdicts/policy.ts',
    find: 'maxAgeMs === undefined || ageOf(finding, now) < maxAgeMs',
    replace: 'maxAgeMs === undefined || maxAgeMs > 0',
    guard: policy,
  },
  {
    what: 'notation: the size of the image is not compared',
    file: 'src/signing/notation/target.ts',
    find: "if (size !== subject.bytes.byteLength) return 'it is about a manifest of another size'\n",
    replace: '',
    guard: notation,
  },
  {
    what: 'notation: the algorithm need not be that of the key',
    file: 'src/signing/notation/notation.ts',
    find: 'if (algorithmOf(leaf.key) !== made.algorithm) {',
    replace: 'if (algorithmOf(leaf.key) === undefined) {',
    guard: notation,
  },
  {
    what: 'notation: a critical header may be unknown',
    file: 'src/signing/formats/notation.ts',
    find: 'const unknown = critical.find((name) => !needed.has(name))',
    replace: 'const unknown = critical.find((name) => name === 0)',
    guard: notation,
  },
  {
    what: 'notation: a certificate of an authority signs images',
    file: 'src/signing/notation/notation.ts',
    find: "const problem = leafProblem(leaf, 'codeSigning')",
    replace: 'const problem: string | undefined = undefined',
    guard: notation,
  },
  {
    what: 'notation: certificates of a chain need not have issued each other',
    file: 'src/signing/notation/chain.ts',
    find: 'if (last !== undefined && !isIssuedBy(last, link)) return undefined\n',
    replace: '',
    guard: notation,
  },
  {
    what: 'notation: the time that a signer claims is a trusted one',
    file: 'src/signing/notation/notation.ts',
    find: "signingTime === undefined ? undefined : { at: signingTime, by: 'claimed' }",
    replace: "signingTime === undefined ? undefined : { at: signingTime, by: 'trusted' }",
    guard: notation,
  },
  {
    what: 'notation: a timestamp may be about another signature',
    file: 'src/signing/notation/timestamp.ts',
    find: '!imprint!.subs[1]!.value.equals(wanted)',
    replace: 'imprint!.subs.length === 0',
    guard: notation,
  },
  {
    what: 'signing: what cannot be read goes on counting',
    file: 'src/signing/trust.ts',
    find: '      all.delete(named.name)\n',
    replace: '',
    guard: unit('trust'),
  },
  {
    what: 'signing: an enforced policy refuses for good while a root cannot be read',
    file: 'src/signing/signatures.ts',
    find: 'if (how.isGate === true && isOpen) this.#checkFiles(policy)\n',
    replace: '',
    guard: vitest('http', 'test/http/signing/certificates.test.ts'),
  },
]
