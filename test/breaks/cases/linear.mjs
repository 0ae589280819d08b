/** @module The breaks of linear code: what strangers send, and one grammar for what operators write. */
import { vitest } from '../breaks.mjs'

export const BREAKS = [
  {
    what: 'credentials are read with two quantifiers over blanks',
    file: 'src/auth/authenticator.ts',
    find: "const encoded = credentialsOf(header, 'basic')",
    replace: 'const encoded = /^Basic +([A-Za-z0-9+/=_-]*) *$/i.exec(header)?.[1]',
    guard: vitest('http', 'test/http/hostile-headers.test.ts'),
  },
  {
    what: 'an expression has two quantifiers over the same characters',
    file: 'src/registry/range.ts',
    find: 'const SPEC = /^(\\d*)-(\\d*)$/',
    replace: 'const SPEC = /^\\s*(\\d*)\\s*-\\s*(\\d*)\\s*$/',
    guard: vitest('unit', 'test/unit/linear.test.ts'),
  },
  {
    what: 'a double star with a slash is at least one component',
    file: 'src/registry/glob.ts',
    find: 'const isWhole = isDouble && this.#isAtStart',
    replace: 'const isWhole = !isDouble && this.#isAtStart',
    guard: vitest('unit', 'test/unit/registry/glob.test.ts'),
  },
]
