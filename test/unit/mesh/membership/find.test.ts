/** How nodes without a mesh find one: who founds, who waits, and who is refused, whoever starts first. */
import { describe, expect, test } from 'vitest'
import { MeshError } from '../../../../src/mesh/identity/problem.ts'
import { findMember, findMesh, foundersOf } from '../../../../src/mesh/membership/find.ts'
import type { OwnAddress } from '../../../../src/mesh/membership/own-address.ts'
import type { Joined } from '../../../../src/mesh/peers/join/ask.ts'
import type { NotFounded } from '../../../../src/mesh/peers/join/messages.ts'

const LIST = ['a:1', 'b:1', 'c:1']
const own = (advertise: string, list = LIST, names: string[] = []): OwnAddress => ({
  advertise,
  others: list.filter((it) => it !== advertise),
  names,
})
const none = (founders = LIST, hasData = false, vote = true): NotFounded => ({
  is: 'none',
  founders,
  hasData,
  vote,
})
const joined = { is: 'member', member: 4, by: 1 } as unknown as Joined

type Answers = Readonly<Record<string, NotFounded | Joined | MeshError>>

/** What a node comes to when the others answer so in each round; 'waits' after the last one. */
async function outcome(
  self: OwnAddress,
  rounds: readonly Answers[],
  hasData = false,
  hasOwnVote = true,
) {
  const warnings: string[] = []
  let round = 0
  const result = await findMesh({
    own: self,
    hasData,
    vote: async () => hasOwnVote,
    ask: (address) => {
      const answer = rounds[round]![address] ?? new MeshError('silent', 'no answer')
      return answer instanceof MeshError ? Promise.reject(answer) : Promise.resolve(answer)
    },
    resolve: (name) => Promise.resolve([`${name.split(':')[0]}1:1`]),
    pause: () => {
      round += 1
      return round < rounds.length ? Promise.resolve() : Promise.reject(new Error('waits'))
    },
    warn: (message) => warnings.push(message),
  }).catch((error: unknown) => error)
  const said = result instanceof Error ? result.message : result === 'found' ? 'found' : 'joined'
  return { said, warnings }
}

describe('a node founds a mesh', () => {
  test('when it is alone, or the only one of its list', async () => {
    expect(foundersOf(own('a:1', ['a:1']))).toEqual(['a:1'])
    expect((await outcome(own('a:1', ['a:1']), [{}])).said).toBe('found')
  })

  test('as the first of the list, when most of the list agree and none is a member', async () => {
    // One that is not heard of may have content: it waits a while for it.
    const most = { 'b:1': none() }
    expect((await outcome(own('a:1'), [most])).said).toBe('waits')
    expect(
      (
        await outcome(
          own('a:1'),
          Array.from({ length: 11 }, () => most),
        )
      ).said,
    ).toBe('found')
    expect((await outcome(own('b:1'), [{ 'a:1': none(), 'c:1': none() }])).said).toBe('waits')
    const without = await outcome(own('b:1'), [{ 'c:1': none() }])
    expect(without.said).toBe('waits')
    expect(without.warnings).toEqual([expect.stringContaining('a:1 is the first of the list')])
    const { warnings } = await outcome(own('b:1'), [{ 'c:1': none(LIST, true) }])
    expect(warnings).toEqual([expect.stringContaining('another node of the list is about to')])
    const five = ['a:1', 'b:1', 'c:1', 'd:1', 'e:1']
    const two = { 'b:1': none(five), 'c:1': none(five) }
    expect((await outcome(own('a:1', five), [{ 'b:1': none(five) }])).said).toBe('waits')
    expect(
      (
        await outcome(
          own('a:1', five),
          Array.from({ length: 11 }, () => two),
        )
      ).said,
    ).toBe('found')
  })

  test('only with most of the votes, its own among them', async () => {
    const all = { 'b:1': none(LIST, false, false), 'c:1': none() }
    expect((await outcome(own('a:1'), [all])).said).toBe('found')
    const none_ = { 'b:1': none(LIST, false, false), 'c:1': none(LIST, false, false) }
    expect((await outcome(own('a:1'), [none_])).said).toBe('waits')
    expect((await outcome(own('a:1'), [all], false, false)).said).toBe('waits')
  })

  test('not when half of two answer, or those that answer have another list', async () => {
    const { said, warnings } = await outcome(own('a:1'), [{}])
    expect(said).toBe('waits')
    expect(warnings).toEqual([expect.stringContaining('not reached: b:1, c:1')])
    const other = await outcome(own('a:1'), [{ 'b:1': none(['a:1', 'b:1']), 'c:1': none(['c:1']) }])
    expect(other.said).toBe('waits')
    expect(other.warnings).toEqual([expect.stringContaining('give the same list mesh.peers')])
    expect((await outcome(own('a:1', ['a:1', 'b:1']), [{}])).said).toBe('waits')
  })

  test('with the content that it has, wherever it is in the list', async () => {
    expect((await outcome(own('c:1'), [{ 'a:1': none() }], true)).said).toBe('found')
    expect((await outcome(own('a:1'), [{ 'c:1': none(LIST, true) }])).said).toBe('waits')
    const two = await outcome(own('a:1'), [{ 'c:1': none(LIST, true) }], true)
    expect(two.said).toContain('c:1 has data of its own too')
  })

  test('never by a name alone, which may show only itself for a while', async () => {
    expect((await outcome(own('a:1', ['a:1'], ['mesh:1']), [{}])).said).toBe('waits')
    expect((await outcome(own('a:1', ['a:1'], ['mesh:1']), [{ 'mesh1:1': joined }])).said).toBe(
      'joined',
    )
  })
})

describe('a node joins', () => {
  test('the first member that takes it, though others are none or refuse', async () => {
    const refused = new MeshError('secret', 'wrong')
    const answers = { 'b:1': refused, 'c:1': joined }
    expect((await outcome(own('a:1'), [answers])).said).toBe('joined')
    expect((await outcome(own('a:1'), [{ 'b:1': none(), 'c:1': none() }, {}])).said).toBe('found')
    expect((await outcome(own('b:1'), [{ 'a:1': none() }, { 'a:1': joined }])).said).toBe('joined')
  })

  test.each(['secret', 'certificate', 'cluster', 'level', 'clock', 'data'] as const)(
    'not, and founds nothing, when a node refuses it: %s',
    async (problem) => {
      const answers = { 'b:1': new MeshError(problem, 'a sentence'), 'c:1': none() }
      expect((await outcome(own('a:1'), [answers])).said).toBe('b:1: a sentence')
    },
  )

  test.each(['silent', 'busy', 'fault', 'closed', 'handshake', 'message'] as const)(
    'later, when a node cannot answer now: %s',
    async (problem) => {
      const answers = { 'b:1': new MeshError(problem, 'later') }
      expect((await outcome(own('a:1'), [answers, { 'b:1': joined }])).said).toBe('joined')
    },
  )
})

describe('a witness', () => {
  const ask = async (rounds: readonly Answers[]) => {
    const warnings: string[] = []
    let round = 0
    const result = await findMember({
      own: own('w:1', ['a:1', 'b:1']),
      ask: (address) => {
        const answer = rounds[round]![address] ?? new MeshError('silent', 'no answer')
        return answer instanceof MeshError ? Promise.reject(answer) : Promise.resolve(answer)
      },
      resolve: async () => [],
      pause: () => {
        round += 1
        return round < rounds.length ? Promise.resolve() : Promise.reject(new Error('waits'))
      },
      warn: (message) => warnings.push(message),
    }).catch((error: Error) => error.message)
    return { result, warnings }
  }

  test('waits until a member takes it in, and founds nothing', async () => {
    const { result, warnings } = await ask([
      {},
      { 'a:1': none(), 'b:1': none() },
      { 'b:1': joined },
    ])
    expect(result).toMatchObject({ address: 'b:1', joined })
    expect(warnings).toEqual(['no mesh yet: no node of mesh.peers is reached'])
    expect((await ask([{ 'a:1': none(['w:1']), 'b:1': none(['w:1']) }])).result).toBe('waits')
  })

  test('ends where it is refused', async () => {
    const refused = await ask([{ 'a:1': new MeshError('secret', 'another one') }])
    expect(refused.result).toBe('a:1: another one')
  })
})
