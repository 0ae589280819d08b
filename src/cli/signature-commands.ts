/**
 * @module The rows of the table of commands (`commands.ts`) about signatures of images.
 *
 * @apart The table of commands is as long as a file may be; each of its parts has one subject.
 */
import type { Command, Flags, Operand } from './command.ts'

const image: Operand = { name: 'NAME:TAG|NAME@DIGEST', what: 'an image' }

const digest: Operand = { name: 'DIGEST', what: 'a digest such as sha256:…' }

const reasonFlag: Flags = {
  reason: {
    type: 'text',
    value: 'TEXT',
    example: 'CVE-2026-1234',
    summary: 'why, for who is refused',
  },
}

export const SIGNATURE_COMMANDS: readonly Command[] = [
  {
    words: ['signatures', 'list'],
    operands: [image],
    flags: {},
    needs: 'running',
    summary: 'list signatures, attestations and SBOMs of an image, with who signed and what counts',
    examples: ['signatures list team/app:v1', 'signatures list team/app:v1 --json'],
    load: async () => (await import('./commands/signatures.ts')).signaturesList,
  },
  {
    words: ['signatures', 'explain'],
    operands: [image],
    flags: {},
    needs: 'running',
    summary:
      'report what the policy of an image asks for, why each part that is attached counts or not, and the command that shows the same',
    details:
      'Exit codes: 0 verified, 1 not verified or not known, 2 misuse, 3 there is no such image.',
    examples: ['signatures explain team/app:v1'],
    load: async () => (await import('./commands/signatures.ts')).signaturesExplain,
  },
  {
    words: ['signatures', 'verify'],
    operands: [image],
    flags: {},
    needs: 'running',
    summary:
      'report whether an image is signed as its policy asks, or by one of the signers of the configuration',
    details:
      'Exit codes: 0 verified, 1 not verified or not known, 2 misuse, 3 there is no such image.',
    examples: ['signatures verify team/app:v1'],
    load: async () => (await import('./commands/signatures.ts')).signaturesVerify,
  },
  {
    words: ['signatures', 'violations'],
    operands: [],
    flags: {},
    needs: 'running',
    summary:
      'list tags that moved although a policy in the mode audit or warn was not met, and pulls that a policy refused or would refuse',
    examples: ['signatures violations', 'signatures violations --json'],
    load: async () => (await import('./commands/signatures.ts')).signaturesViolations,
  },
  {
    words: ['signatures', 'revoke'],
    operands: [digest],
    flags: reasonFlag,
    needs: 'running',
    summary:
      'stop a digest, and what an index of it lists, in every repository: no pull, no tag, no copy',
    examples: ['signatures revoke sha256:… --reason=CVE-2026-1234'],
    load: async () => (await import('./commands/signatures.ts')).signaturesRevoke,
  },
  {
    words: ['signatures', 'allow'],
    operands: [digest],
    flags: {},
    needs: 'running',
    summary: 'take the revocation of a digest back',
    examples: ['signatures allow sha256:…'],
    load: async () => (await import('./commands/signatures.ts')).signaturesAllow,
  },
  {
    words: ['signatures', 'revoked'],
    operands: [],
    flags: {},
    needs: 'running',
    summary: 'list digests that are revoked',
    examples: ['signatures revoked', 'signatures revoked --json'],
    load: async () => (await import('./commands/signatures.ts')).signaturesRevoked,
  },
  {
    words: ['signatures', 'key', 'create'],
    operands: [],
    flags: {},
    needs: 'config',
    summary:
      'make the key that the registry signs with, which its first start would make, and print the public part',
    examples: ['signatures key create --config config.yaml'],
    load: async () => (await import('./commands/signing-keys.ts')).signingKeyCreate,
  },
  {
    words: ['signatures', 'key', 'show'],
    operands: [],
    flags: { json: { type: 'switch', summary: 'one JSON line a key, with times and fingerprint' } },
    needs: 'config',
    summary: 'print the public keys of what the registry signs, the one of now first',
    examples: ['signatures key show', 'signatures key show --json'],
    load: async () => (await import('./commands/signing-keys.ts')).signingKeyShow,
  },
  {
    words: ['signatures', 'key', 'rotate'],
    operands: [],
    flags: {
      after: {
        type: 'text',
        value: 'DURATION',
        example: '7d',
        summary: 'how long the new key is published before it signs (7d)',
      },
    },
    needs: 'config',
    summary: 'replace the key that the registry signs with; the old one stays published',
    examples: ['signatures key rotate', 'signatures key rotate --after 0s'],
    load: async () => (await import('./commands/signing-keys.ts')).signingKeyRotate,
  },
  {
    words: ['signatures', 'key', 'forget'],
    operands: [
      { name: 'FINGERPRINT', what: 'the fingerprint of a key, from signatures key show --json' },
    ],
    flags: {},
    needs: 'config',
    summary: 'publish a key no longer, so that what it signed is not trusted any more',
    examples: ['signatures key forget 5f3c0a'],
    load: async () => (await import('./commands/signing-keys.ts')).signingKeyForget,
  },
]
