/** The one vote of a node: it outlives the run that gave it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { IdentityFolder } from '../../../../src/mesh/identity/kept.ts'
import { Vote } from '../../../../src/mesh/membership/vote.ts'

const LIST = ['a:1', 'b:1', 'c:1']

function folderOf(): IdentityFolder {
  const path = mkdtempSync(join(tmpdir(), 'fastregistry-vote-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  return new IdentityFolder(path)
}

test('it goes to one node, in this run and in the next', async () => {
  const folder = folderOf()
  const vote = await Vote.of(folder, LIST)
  expect(await Promise.all(['b:1', 'a:1', 'b:1'].map((it) => vote.give(it)))).toEqual([
    true,
    false,
    true,
  ])
  const next = await Vote.of(folder, LIST)
  expect([await next.give('a:1'), await next.give('b:1')]).toEqual([false, true])
})

test('it is on the disk before it is given', async () => {
  const steps: string[] = []
  const vote = await Vote.of(
    {
      vote: async () => undefined,
      setVote: async () => {
        for (let turn = 0; turn < 5; turn += 1) await null
        steps.push('kept')
      },
    },
    LIST,
  )
  await vote.give('a:1')
  steps.push('given')
  expect(steps).toEqual(['kept', 'given'])
})

test('it is free again for another list, and when the node is a member', async () => {
  const folder = folderOf()
  await (await Vote.of(folder, LIST)).give('b:1')
  expect(await (await Vote.of(folder, ['a:1', 'c:1'])).give('a:1')).toBe(true)
  await folder.setIdentity({
    ...{ cluster: 'c', member: 1, advertise: 'a:1', log: 'l', authority: 'x' },
    ...{ endpoints: ['a:3'], certificate: 'y', hasView: true },
  })
  expect(await folder.vote()).toBeUndefined()
})
