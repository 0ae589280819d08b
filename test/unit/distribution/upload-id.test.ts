import { describe, expect, test } from 'vitest'
import { memberOfUpload, newUploadId } from '../../../src/distribution/upload/id.ts'
import { systemRandom } from '../../../src/runtime/random.ts'

const random = '0123456789abcdef0123456789abcdef'

describe('ids of upload sessions', () => {
  test('a registry that is alone has ids that name no member', () => {
    const id = newUploadId(systemRandom, undefined)
    expect(id).toMatch(/^[0-9a-f]{32}$/)
    expect(memberOfUpload(id)).toBeUndefined()
  })

  test.each([1, 7, 4_294_967_295])('an id of member %d names it', (member) => {
    const id = newUploadId(systemRandom, member)
    expect(id).toMatch(/^[1-9][0-9]*-[0-9a-f]{32}$/)
    expect(memberOfUpload(id)).toBe(member)
  })

  test.each([
    `0-${random}`,
    `01-${random}`,
    `-1-${random}`,
    `1.5-${random}`,
    `1e3-${random}`,
    ` 1-${random}`,
    `1-${random}\n`,
    `1-${random}0`,
    `1-${random.slice(1)}`,
    `1-${random.toUpperCase()}`,
    `12345678901-${random}`,
    `1--${random.slice(1)}`,
    `1-1-${random}`,
    `${random}`,
    '',
    `${'1'.repeat(100_000)}-${random}`,
  ])('%j names none', (id) => {
    expect(memberOfUpload(id)).toBeUndefined()
  })
})
