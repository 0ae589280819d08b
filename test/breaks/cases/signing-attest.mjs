/**
 * @module The breaks of what the registry signs itself: its keys, its statements, its countersignatures.
 */
import { vitest } from '../breaks.mjs'

const queue = vitest('unit', 'test/unit/signing/attestor.test.ts')
const keys = vitest('unit', 'test/unit/signing/attest-keys.test.ts')
const http = vitest('http', 'test/http/signing/attest.test.ts')

export const BREAKS = [
  {
    what: 'signing attest: a mark without a signature counts as said',
    file: 'src/signing/attest/store.ts',
    find: '    return isSigned && says(readStatement(envelope).json)',
    replace: '    return says(readStatement(envelope).json)',
    guard: queue,
  },
  {
    what: 'signing attest: an image has any number of statements',
    file: 'src/signing/attest/store.ts',
    find: "  return own >= statementsMax ? 'full' : 'free'",
    replace: "  return own < 0 ? 'full' : 'free'",
    guard: queue,
  },
  {
    what: 'signing attest: any number of jobs waits',
    file: 'src/signing/attest/attestor.ts',
    find: 'this.#waiting.size >= waitingMax && ',
    replace: 'this.#waiting.size < 0 && ',
    guard: queue,
  },
  {
    what: 'signing attest: a countersignature takes the place of what came in between',
    file: 'src/signing/attest/store.ts',
    find: '  if (tag === undefined) return { ifMatch',
    replace: '  if (tag !== null) return { ifMatch',
    guard: queue,
  },
  {
    what: 'signing attest: a countersignature gives up where another signer was faster',
    file: 'src/signing/attest/countersign.ts',
    find: '      if (!isOvertaken || attempt >= attemptsMax) throw error',
    replace: '      if (!isOvertaken || attempt > 0) throw error',
    guard: queue,
  },
  {
    what: 'signing attest: a countersignature drops the signatures of others',
    file: 'src/signing/attest/countersign.ts',
    find: '  const layers = [...there.layers, layer]',
    replace: '  const layers = [layer]',
    guard: http,
  },
  {
    what: 'signing attest: what is no list of signatures is added to',
    file: 'src/signing/attest/countersign.ts',
    find: '  if (types.some((type) => type !== simpleSigningType)) return undefined\n',
    replace: '',
    guard: http,
  },
  {
    what: 'signing attest: what nobody known has signed is countersigned',
    file: 'src/signing/attest/attestor.ts',
    find: "report?.state === 'verified' && report.policy?.countersign === true",
    replace: 'report?.policy?.countersign === true',
    guard: http,
  },
  {
    what: 'signing attest: a summary is made of what was only let pass',
    file: 'src/signing/gate.ts',
    find: '      violation: { policy: policy.name, mode: policy.mode, gate, state, message },\n    }\n  }\n',
    replace:
      '      violation: { policy: policy.name, mode: policy.mode, gate, state, message },\n      onMoved: () => this.#passed?.({ repository, digest, policy, accepted: [] }),\n    }\n  }\n',
    guard: http,
  },
  {
    what: 'signing attest: the private part of an old key stays',
    file: 'src/signing/attest/keys.ts',
    find: '(index < at ? publicOf(key) : key)',
    replace: '(index < 0 ? publicOf(key) : key)',
    guard: keys,
  },
  {
    what: 'signing attest: a key signs before it was published',
    file: 'src/signing/attest/keys.ts',
    find: '  return keys.findLast(({ signsFrom }) => signsFrom <= now) ?? keys[0]',
    replace: '  return keys.findLast(() => now > 0) ?? keys[0]',
    guard: keys,
  },
  {
    what: 'signing attest: a refusal repeats the key',
    file: 'src/signing/attest/keys.ts',
    find: "    throw new Error('expected a private key as PKCS#8 in PEM, without a password')",
    replace: '    throw new Error(pem)',
    guard: keys,
  },
  {
    what: 'signing attest: what registries say keeps signatures away',
    file: 'src/signing/evidence.ts',
    find: '    if (isMarked(row)) own.push(referrer)\n    else if',
    replace: '    if',
    guard: vitest('unit', 'test/unit/signing/evidence.test.ts'),
  },
]
