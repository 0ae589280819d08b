/**
 * @module Hashing by algorithm: one chunk of a large upload, one small blob, and a copied state.
 */
import { ALGORITHMS, type Algorithm } from '../../src/registry/digest.ts'
import { createHasher, digestOf } from '../../src/registry/hasher.ts'
import type { MicroSuite, MicroTask } from './suite.ts'

const chunk = Buffer.alloc(512 * 1024, 7)
const small = chunk.subarray(0, 4096)

export function hashSuite(): MicroSuite {
  const tasks = (Object.keys(ALGORITHMS) as Algorithm[]).flatMap((algorithm): MicroTask[] => {
    const hasher = createHasher(algorithm)
    return [
      {
        name: `${algorithm}, 512 KiB`,
        run: () => hasher.update(chunk),
        bytes: chunk.length,
      },
      {
        name: `${algorithm}, whole 4 KiB`,
        run: () => digestOf(algorithm, small),
        bytes: small.length,
      },
    ]
  })
  const running = createHasher('sha256')
  running.update(chunk)
  return { tasks: [...tasks, { name: 'sha256, copy of the state', run: () => running.copy() }] }
}
