import { describe, expect, test } from 'vitest'
import { clientKey } from '../../../src/runtime/client-key.ts'
import { PassBudget } from '../../../src/upstream/pass-budget.ts'

describe('the budget of pass-throughs', () => {
  test('is two a client and a quarter of the slots in all', () => {
    const budget = new PassBudget(16)
    const [a1, a2] = [budget.take('a'), budget.take('a')]
    expect([a1, a2].every((it) => it !== undefined)).toBe(true)
    expect(budget.take('a')).toBeUndefined()
    expect(budget.take('b')).toBeDefined()
    expect(budget.take('c')).toBeDefined()
    expect(budget.take('d')).toBeUndefined()
    a1!()
    a1!()
    expect(budget.take('d')).toBeDefined()
    expect(budget.take('e')).toBeUndefined()
  })

  test('leaves one where there are few slots', () => {
    expect(new PassBudget(1).take('a')).toBeDefined()
  })

  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:1:2::1', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['', ''],
  ])('counts the client %j as %j', (address, key) => {
    expect(clientKey(address)).toBe(key)
  })
})
