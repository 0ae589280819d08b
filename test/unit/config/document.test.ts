import { expect, test } from 'vitest'
import { KEYS } from '../../../src/config/schema.ts'
import { settingsMarkdown } from '../../support/settings-markdown.ts'

test('the table has one row for every setting', () => {
  const rows = settingsMarkdown().split('\n')
  for (const key of KEYS) {
    expect(rows.filter((row) => row.startsWith(`| \`${key}\` |`))).toHaveLength(1)
  }
})

test('a row tells bounds, unit, default and flag', () => {
  expect(settingsMarkdown()).toContain(
    '| `server.max_connections` | integer, 1 to 1000000 connections | `20000` |',
  )
  expect(settingsMarkdown()).toContain('| `storage.inline_limit` | size, 0 to 1MiB | `64KiB` |')
  expect(settingsMarkdown()).toMatch(/`server\.addr` \| address \| `:5000` \|.*`--addr`/)
})
