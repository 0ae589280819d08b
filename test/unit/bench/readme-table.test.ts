/**
 * @module The block of README that the last full run made. UPDATE_DOCS=1 writes it.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { benchMarkdown } from '../../../bench/readme-table.ts'
import { latestFile, readResults } from '../../../bench/results-file.ts'
import { readBlock, replaceBlock } from '../../support/readme-tables.ts'

const root = new URL('../../../', import.meta.url)
const readme = new URL('README.md', root)
const results = new URL(latestFile, root).pathname

test.skipIf(!existsSync(results))('the table of README is that of the last full run', () => {
  const expected = benchMarkdown(readResults(results))
  const text = readFileSync(readme, 'utf8')
  if (process.env['UPDATE_DOCS'] === '1') {
    writeFileSync(readme, replaceBlock(text, 'bench', expected))
  }
  const reason = 'run this test with UPDATE_DOCS=1 to write it anew'
  expect(readBlock(readFileSync(readme, 'utf8'), 'bench'), reason).toBe(expected)
})
