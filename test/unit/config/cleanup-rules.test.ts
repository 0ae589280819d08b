/**
 * @module Rules of clean-up that contradict each other: a clear error that names the key, at the
 * start, before anything is deleted by them.
 */
import { expect, test } from 'vitest'
import { loadConfigText } from '../../../src/config/load.ts'

const policy = (more: string) => `{ name: p, repositories: ["team/**"]${more} }`

test.each([
  [
    'a policy behind one that takes everything',
    `[{ repositories: ["**"] }, ${policy('')}]`,
    'never applies',
  ],
  [
    'the same repositories twice',
    `[${policy('')}, { repositories: ["team/**"] }]`,
    'never applies',
  ],
  [
    'two policies of one name',
    `[${policy('')}, { name: p, repositories: ["x"] }]`,
    'has the name "p"',
  ],
  [
    'untagged manifests that go before their grace time ends',
    `[${policy(', untagged: { keep_for: 1h }')}]`,
    'is shorter than storage.gc.grace',
  ],
  ['a pattern that is none', `[{ repositories: ["/(/"] }]`, 'not a regular expression'],
  [
    'nothing to keep of',
    `[{ repositories: ["x"], keep: [{ newest_pushed: 0 }] }]`,
    'newest_pushed',
  ],
  ['a misspelt rule', `[{ repositories: ["x"], keep: [{ newest_push: 3 }] }]`, 'newest_push'],
])('%s', async (_what, retention, words) => {
  const text = `storage: { gc: { grace: 24h }, retention: ${retention} }`
  const error = await loadConfigText(text, 'rules.yaml').then(
    () => undefined,
    (reason: Error) => reason,
  )
  expect(error?.message).toContain('storage.retention')
  expect(error?.message).toContain(words)
})

test.each([
  ['a schedule that is none', 'gc: { schedule: "every night" }', 'storage.gc.schedule'],
  ['a share beyond all', 'gc: { max_delete_percent: 101 }', 'storage.gc.max_delete_percent'],
  ['a window without a unit', 'gc: { undelete_window: 24 }', 'storage.gc.undelete_window'],
  ['tags that expire at once', 'expiry: [{ repositories: ["**"], after: 0s }]', 'storage.expiry'],
])('%s', async (_what, text, key) => {
  await expect(loadConfigText(`storage: { ${text} }`, 'rules.yaml')).rejects.toThrow(key)
})
