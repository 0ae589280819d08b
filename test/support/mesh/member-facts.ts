/** @module What a member of a test's mesh says of itself. */
import type { MemberFacts } from '../../../src/metadata/rows/mesh.ts'

/** `address`: where it is reached, for members that are. */
export function factsOf(name: string, address = '127.0.0.1:7946'): MemberFacts {
  return { name, address, zone: '', weight: 1, key: '' }
}
