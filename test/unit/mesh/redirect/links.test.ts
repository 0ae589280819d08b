/** Links to blobs: of one blob in one repository at one node, and for two minutes. */
import { describe, expect, test } from 'vitest'
import {
  isLinkTo,
  type LinkTarget,
  linkMark,
  signLink,
} from '../../../../src/mesh/redirect/links.ts'
import { parseDigest } from '../../../../src/registry/digest.ts'
import { parseRepositoryName } from '../../../../src/registry/name.ts'
import { unwrap } from '../../../../src/registry/result.ts'

const key = Buffer.alloc(32, 7)
const now = Date.UTC(2026, 0, 1)
const digestOf = (letter: string) => unwrap(parseDigest(`sha256:${letter.repeat(64)}`))
const target: LinkTarget = {
  member: 2,
  repository: unwrap(parseRepositoryName('team/app')),
  digest: digestOf('a'),
}
const query = signLink(key, target, now)

describe('a link', () => {
  test('is good for its blob, for two minutes', () => {
    expect(query.startsWith(linkMark)).toBe(true)
    expect(isLinkTo(key, target, query, now)).toBe(true)
    expect(isLinkTo(key, target, query, now + 119_000)).toBe(true)
    expect(isLinkTo(key, target, query, now + 121_000)).toBe(false)
  })

  test('is good for nothing else', () => {
    const others: readonly Partial<LinkTarget>[] = [
      { member: 3 },
      { digest: digestOf('b') },
      { repository: unwrap(parseRepositoryName('team/ap')) },
      { repository: unwrap(parseRepositoryName('team/app/x')) },
    ]
    for (const other of others) {
      expect(isLinkTo(key, { ...target, ...other }, query, now)).toBe(false)
    }
    expect(isLinkTo(Buffer.alloc(32, 8), target, query, now)).toBe(false)
  })

  test('is taken letter by letter', () => {
    const [end, signature] = query.slice(linkMark.length).split('.') as [string, string]
    const first = signature[0] === 'A' ? 'B' : 'A'
    for (const text of [
      '',
      linkMark,
      `${linkMark}${end}.`,
      `${linkMark}${end}`,
      `${linkMark}${Number(end) + 1}.${signature}`,
      `${linkMark}9999999999.${signature}`,
      `${linkMark}0${end}.${signature}`,
      `${linkMark}${end}.${first}${signature.slice(1)}`,
      `${query}=`,
      `${query}&x=1`,
      `x=1&${query}`,
      `${query}${query}`,
      `${linkMark}${'1'.repeat(100_000)}.${signature}`,
      query.toUpperCase(),
    ]) {
      expect(isLinkTo(key, target, text, now), text.slice(0, 120)).toBe(false)
    }
  })
})
