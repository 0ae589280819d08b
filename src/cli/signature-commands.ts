/**
 * @module The rows of the table of commands (`commands.ts`) about signatures of images.
 *
 * @apart The table of commands is as long as a file may be; each of its parts has one subject.
 */
import type { Command, Operand } from './command.ts'

const image: Operand = { name: 'NAME:TAG|NAME@DIGEST', what: 'an image' }

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
    words: ['signatures', 'verify'],
    operands: [image],
    flags: {},
    needs: 'running',
    summary:
      'report whether an image is signed as its policy asks, or by one of the keys in signing.keys',
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
    summary: 'list tags that moved although a policy in the mode audit or warn was not met',
    examples: ['signatures violations', 'signatures violations --json'],
    load: async () => (await import('./commands/signatures.ts')).signaturesViolations,
  },
]
