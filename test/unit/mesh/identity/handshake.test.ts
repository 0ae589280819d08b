/** @module What two nodes prove to each other when one joins, and what no proof is of use for. */
import { describe, expect, test } from 'vitest'
import {
  Challenges,
  type JoinFacts,
  makeProof,
  provenSecret,
  requireSameTime,
} from '../../../../src/mesh/identity/handshake.ts'
import { MeshSecret } from '../../../../src/mesh/identity/secret.ts'
import { systemRandom } from '../../../../src/runtime/random.ts'
import { FakeClock } from '../../../support/fake-clock.ts'

const secret = new MeshSecret('the secret of the mesh')
const other = new MeshSecret('another secret of a mesh')
const message = Buffer.from('what is asked for')

const facts: JoinFacts = {
  name: 'node-a',
  nodeNonce: Buffer.alloc(32, 1),
  peerNonce: Buffer.alloc(32, 2),
  fingerprint: Buffer.alloc(32, 3),
  channel: Buffer.alloc(32, 4),
}

describe('a proof', () => {
  test('is found right by the one who knows the secret, whichever of two it is', () => {
    const proof = makeProof(secret, 'join-node', facts, message)
    expect(proof).toHaveLength(32)
    expect(provenSecret([secret], 'join-node', facts, message, proof)).toBe(secret)
    expect(provenSecret([other, secret], 'join-node', facts, message, proof)).toBe(secret)
    expect(provenSecret([other], 'join-node', facts, message, proof)).toBeUndefined()
  })

  test('is none for another name, nonce, authority, connection or message', () => {
    const proof = makeProof(secret, 'join-node', facts, message)
    const others: readonly Partial<JoinFacts>[] = [
      { name: 'node-b' },
      { nodeNonce: Buffer.alloc(32, 9) },
      { peerNonce: Buffer.alloc(32, 9) },
      { nodeNonce: facts.peerNonce, peerNonce: facts.nodeNonce },
      { fingerprint: Buffer.alloc(32, 9) },
      { channel: Buffer.alloc(32, 9) },
    ]
    for (const change of others) {
      const changed = { ...facts, ...change }
      expect(provenSecret([secret], 'join-node', changed, message, proof)).toBeUndefined()
    }
    const longer = Buffer.concat([message, Buffer.alloc(1)])
    expect(provenSecret([secret], 'join-node', facts, longer, proof)).toBeUndefined()
  })

  test('cannot be sent back to the one who made it', () => {
    const proof = makeProof(secret, 'join-node', facts, message)
    expect(provenSecret([secret], 'join-peer', facts, message, proof)).toBeUndefined()
  })

  test('is none with a byte moved from one part to the next', () => {
    const proof = makeProof(secret, 'join-node', { ...facts, name: 'ab' }, message)
    const nodeNonce = Buffer.concat([Buffer.from('b'), facts.nodeNonce])
    const moved = { ...facts, name: 'a', nodeNonce }
    expect(provenSecret([secret], 'join-node', moved, message, proof)).toBeUndefined()
  })

  test('has 32 bytes, no more and no less', () => {
    const proof = makeProof(secret, 'join-node', facts, message)
    for (const wrong of [proof.subarray(1), Buffer.concat([proof, proof]), Buffer.alloc(0)]) {
      expect(provenSecret([secret], 'join-node', facts, message, wrong)).toBeUndefined()
    }
  })
})

describe('challenges', () => {
  function open() {
    const clock = new FakeClock()
    return { clock, challenges: new Challenges({ clock, random: systemRandom }) }
  }

  const nonce = Buffer.alloc(32, 1)
  const ended = expect.objectContaining({ problem: 'handshake' })

  test('are taken once', () => {
    const { challenges } = open()
    const given = challenges.give('node-a', nonce)
    expect(given.peerNonce).toHaveLength(32)
    expect(challenges.give('node-a', nonce).peerNonce).not.toEqual(given.peerNonce)
    expect(challenges.take(given.id)).toMatchObject({ name: 'node-a', nodeNonce: nonce })
    expect(() => challenges.take(given.id)).toThrow(ended)
    expect(() => challenges.take('0'.repeat(32))).toThrow(ended)
  })

  test('end after half a minute', () => {
    const { clock, challenges } = open()
    const [one, two] = [challenges.give('a', nonce), challenges.give('b', nonce)]
    clock.advance(29_999)
    expect(challenges.take(one.id).name).toBe('a')
    clock.advance(1)
    expect(() => challenges.take(two.id)).toThrow(ended)
    expect(challenges.size).toBe(0)
  })

  test('are 64 at most: the oldest goes', () => {
    const { challenges } = open()
    const given = Array.from({ length: 65 }, (_, at) => challenges.give(`node-${at}`, nonce))
    expect(challenges.size).toBe(64)
    expect(() => challenges.take(given[0]!.id)).toThrow(ended)
    expect(challenges.take(given[1]!.id).name).toBe('node-1')
    expect(challenges.take(given[64]!.id).name).toBe('node-64')
  })
})

describe('clocks', () => {
  test('may be five minutes apart', () => {
    expect(() => requireSameTime(1_000_000, 1_000_000 + 300_000)).not.toThrow()
    expect(() => requireSameTime(1_000_000 + 300_000, 1_000_000)).not.toThrow()
    expect(() => requireSameTime(1_000_000, 1_000_000 + 300_001)).toThrow('300 seconds behind')
    expect(() => requireSameTime(1_000_000 + 360_000, 1_000_000)).toThrow('360 seconds ahead')
  })
})
