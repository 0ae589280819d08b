/**
 * @module The rules of `access:` against a second reading of them: for any list of rules and any
 * caller, both decide alike.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AccessRules } from '../../src/auth/access-rules.ts'
import { ACTIONS, anonymousCaller, type Caller } from '../../src/auth/caller.ts'
import { mayDo, type Rule } from '../support/access-matrix.ts'

const here = { remoteAddress: '127.0.0.1' }
const groups = { ci: ['alice'], ops: ['bob', 'alice'] }
const component = fc.constantFrom('home', 'alice', 'bob', 'app', 'a-b', 'x')
const resource = fc.oneof(
  fc.array(component, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
  fc.constantFrom('/metrics', '/admin'),
)
const pattern = fc.oneof(
  fc
    .array(fc.oneof(component, fc.constantFrom('*', '**', `\${user}`, 'a*', '?', '*p')), {
      minLength: 1,
      maxLength: 3,
    })
    .map((parts) => parts.join('/')),
  fc.constantFrom('/metrics', '/admin', '**'),
)
const rule: fc.Arbitrary<Rule> = fc.record(
  {
    repositories: fc.array(pattern, { minLength: 1, maxLength: 2 }),
    users: fc.subarray(['alice', 'bob', '*'], { minLength: 1 }),
    groups: fc.subarray(['ci', 'ops', 'none'], { minLength: 1 }),
    anonymous: fc.boolean(),
    networks: fc.subarray(['127.0.0.0/8', '10.0.0.0/8', '::1'], { minLength: 1 }),
    actions: fc.subarray([...ACTIONS]),
  },
  { requiredKeys: ['repositories', 'actions'] },
)

function callerOf(name: string | undefined): Caller {
  if (name === undefined) return anonymousCaller
  const his = Object.entries(groups).filter(([, members]) => members.includes(name))
  return {
    ...anonymousCaller,
    kind: 'user',
    name,
    groups: his.map(([group]) => group),
    via: 'basic',
  }
}

test('the first rule that matches decides, by both readings', () => {
  const asked = fc.record({
    rules: fc.array(rule, { maxLength: 5 }),
    user: fc.constantFrom(undefined, 'alice', 'bob', 'carol'),
    action: fc.constantFrom(...ACTIONS),
    resource,
  })
  fc.assert(
    fc.property(asked, ({ rules, user, action, resource: name }) => {
      const mine = new AccessRules(rules)
      const caller = callerOf(user)
      const shows = user === undefined ? 'nothing' : 'password'
      const expected = mayDo(rules, groups, { user, shows }, action, name)
      expect(mine.may(caller, action, name, here)).toBe(expected)
      // From memory too.
      expect(mine.may(caller, action, name, here)).toBe(expected)
      const anywhere = mayDo(rules, groups, { user, shows }, action, undefined)
      expect(mine.mayAnywhere(caller, action, here)).toBe(anywhere)
    }),
    { numRuns: 3_000 },
  )
})
