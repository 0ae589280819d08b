/** What a node keeps of itself: whole, whatever is written at once. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { IdentityFolder } from '../../../../src/mesh/identity/kept.ts'

test('changes at once leave the last one whole', async () => {
  const path = mkdtempSync(join(tmpdir(), 'fastregistry-kept-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  const folder = new IdentityFolder(path)
  expect(await folder.identity()).toBeUndefined()
  const identity = (member: number) => ({
    ...{ cluster: 'c', member, advertise: 'a:1', log: 'l', authority: 'x'.repeat(member * 100) },
    ...{ endpoints: ['a:3'], certificate: 'y', hasView: true },
  })
  const numbers = Array.from({ length: 30 }, (_, at) => 30 - at)
  await Promise.all(numbers.map((member) => folder.setIdentity(identity(member))))
  expect(await folder.identity()).toEqual(identity(1))
  const key = await folder.key()
  expect(await new IdentityFolder(path).key()).toEqual(key)
})
