/** @module The secret of a mesh, its two lines while it is changed, and what it seals. */
import { describe, expect, test } from 'vitest'
import { Seals } from '../../../../src/mesh/identity/seals.ts'
import { MeshSecret, parseSecrets } from '../../../../src/mesh/identity/secret.ts'
import { systemRandom } from '../../../../src/runtime/random.ts'

const OLD = 'the old secret of the mesh'
const NEW = 'the new secret of the mesh'

const seals = (text: string, cluster = 'main') =>
  new Seals({ secrets: parseSecrets(text), cluster, random: systemRandom })

describe('a secret', () => {
  test('has 16 bytes or more, and 1,024 at most', () => {
    expect(() => new MeshSecret('x'.repeat(15))).toThrow(
      'the secret of the mesh has 15 bytes; use 16 random bytes or more',
    )
    expect(() => new MeshSecret('x'.repeat(16))).not.toThrow()
    expect(() => new MeshSecret('ä'.repeat(8))).not.toThrow()
    expect(() => new MeshSecret('x'.repeat(1_024))).not.toThrow()
    expect(() => new MeshSecret('x'.repeat(1_025))).toThrow('more than 1024 bytes')
  })

  test('makes another key for each use, and always the same', () => {
    const keys = (text: string) => {
      const secret = new MeshSecret(text)
      return [secret.key('seal'), secret.key('join-node'), secret.key('join-peer')].map((key) =>
        key.toString('hex'),
      )
    }
    expect(new Set([...keys(OLD), ...keys(NEW)]).size).toBe(6)
    expect(keys(OLD)).toEqual(keys(OLD))
    expect(keys(OLD)[0]).toHaveLength(64)
  })

  test('makes these keys in every version: rows that are sealed stay readable', () => {
    expect(new MeshSecret(OLD).key('seal').toString('hex')).toMatchInlineSnapshot(
      `"403a72eea5ecc0be5b1f6ead8dc423e5b7c9328d96670f74d13076da8e4cfc49"`,
    )
  })
})

describe('a file of secrets', () => {
  test('has one line, or two', () => {
    expect(parseSecrets(`${OLD}\n`)).toHaveLength(1)
    expect(parseSecrets(`\r\n  ${NEW}\r\n\n${OLD}  `)).toHaveLength(2)
    expect(parseSecrets(`${OLD}\n${OLD}\n`)).toHaveLength(1)
    const [first, second] = parseSecrets(`${NEW}\n${OLD}`)
    expect(first.key('seal')).toEqual(new MeshSecret(NEW).key('seal'))
    expect(second!.key('seal')).toEqual(new MeshSecret(OLD).key('seal'))
  })

  test('is refused without one, with three, and with one that is too short', () => {
    expect(() => parseSecrets(' \n\n')).toThrow('there is no secret of the mesh')
    expect(() => parseSecrets(`${NEW}\n${OLD}\na third secret of the mesh`)).toThrow(
      'more than two secrets',
    )
    expect(() => parseSecrets(`${NEW}\nshort`)).toThrow('has 5 bytes')
  })
})

describe('a seal', () => {
  test('opens under its name', () => {
    const { bytes, isOld } = seals(OLD).open(
      'authority',
      seals(OLD).seal('authority', bytesOf('k')),
    )
    expect([bytes.toString(), isOld]).toEqual(['k', false])
    expect(seals(OLD).open('none', seals(OLD).seal('none', bytesOf(''))).bytes).toHaveLength(0)
  })

  test('is another one each time', () => {
    const one = seals(OLD)
    expect(one.seal('a', bytesOf('k'))).not.toEqual(one.seal('a', bytesOf('k')))
  })

  test('does not open under another name, in another cluster, or with another secret', () => {
    const sealed = seals(OLD).seal('authority', bytesOf('k'))
    const problem = expect.objectContaining({ problem: 'sealed' })
    expect(() => seals(OLD).open('signing', sealed)).toThrow(problem)
    expect(() => seals(OLD, 'other').open('authority', sealed)).toThrow(problem)
    expect(() => seals(NEW).open('authority', sealed)).toThrow(problem)
  })

  test('does not open after any byte of it has changed, nor shorter, nor longer', () => {
    const own = seals(OLD)
    const sealed = own.seal('authority', bytesOf('key'))
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Buffer.from(sealed)
      changed[at]! ^= 1
      expect(() => own.open('authority', changed), `byte ${at}`).toThrow('does not open')
    }
    for (let length = 0; length < sealed.length; length += 1) {
      expect(() => own.open('authority', sealed.subarray(0, length))).toThrow('does not open')
    }
    const longer = Buffer.concat([sealed, Buffer.alloc(1)])
    expect(() => own.open('authority', longer)).toThrow('does not open')
  })

  test('opens with both secrets while one is changed, says which, and is made with the new one', () => {
    const both = seals(`${NEW}\n${OLD}`)
    const old = seals(OLD).seal('authority', bytesOf('key'))
    const opened = both.open('authority', old)
    expect([opened.bytes.toString(), opened.isOld]).toEqual(['key', true])
    const again = both.seal('authority', opened.bytes)
    expect(both.open('authority', again).isOld).toBe(false)
    expect(seals(NEW).open('authority', again).bytes.toString()).toBe('key')
    expect(() => seals(OLD).open('authority', again)).toThrow('does not open')
  })

  test('is of 1 MiB at most', () => {
    const own = seals(OLD)
    const most = Buffer.alloc(1024 * 1024, 7)
    expect(own.open('a', own.seal('a', most)).bytes.equals(most)).toBe(true)
    expect(() => own.seal('a', Buffer.alloc(1024 * 1024 + 1))).toThrow(RangeError)
  })
})

function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'utf8')
}
