/** @module Which credentials a repository is asked for with, and which can be of use below a path. */
import { describe, expect, test } from 'vitest'
import { type Credential, Credentials } from '../../../src/upstream/tokens.ts'

const secret = { kind: 'text', value: 'x' } as const
const of = (prefix: string): Credential => {
  return { prefix, username: 'u', secret, isToken: false, tokenServer: undefined }
}

describe('below a path', () => {
  test.each([
    ['none at all', [], '', [undefined]],
    ['one for everything, so nobody asks without', [''], '', ['']],
    ['one for a part, and nobody for the rest', ['team'], '', ['team', undefined]],
    [
      'the longest first, up to the one for everything',
      ['', 'team', 'team/a'],
      '',
      ['team/a', 'team', ''],
    ],
    ['one of two that say the same', ['team/', 'team'], 'team/', ['team/']],
    ['none of another path', ['other'], 'team/', [undefined]],
    ['none of a path with the same beginning', ['teamwork'], 'team/', [undefined]],
    ['the one that covers the path', ['team', ''], 'team/app/', ['team']],
    ['one inside the path', ['team/app'], 'team/', ['team/app', undefined]],
  ])('are of use: %s', (_what, prefixes, path, expected) => {
    const found = new Credentials(prefixes.map(of)).below(path)
    expect(found.map((credential) => credential?.prefix)).toEqual(expected)
  })

  test('are all that are found there', () => {
    const prefixes = ['team', 'team/app/', 'team/app/x', 'other', 'teamwork']
    const credentials = new Credentials(prefixes.map(of))
    for (const path of ['', 'team/', 'team/app/', 'teamwork/', 'new/']) {
      for (const name of ['a', 'app', 'app/x', 'team', 'team/app/x/y', 'teamwork/z', 'x']) {
        expect(credentials.below(path), `${path}${name}`).toContain(
          credentials.find(`${path}${name}`),
        )
      }
    }
  })
})
