/**
 * @module The blocks of README.md and `docs/benchmarks.md` that the last full run made. UPDATE_DOCS=1
 * writes them.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { benchHighlights, benchMarkdown } from '../../../bench/readme-table.ts'
import { latestFile, type Results, readResults } from '../../../bench/results-file.ts'
import { readBlock, replaceBlock } from '../../support/readme-tables.ts'

const root = new URL('../../../', import.meta.url)
const results = new URL(latestFile, root).pathname

const BLOCKS: readonly (readonly [file: string, name: string, of: (run: Results) => string])[] = [
  ['docs/benchmarks.md', 'bench', benchMarkdown],
  ['README.md', 'bench-highlights', benchHighlights],
]

test.skipIf(!existsSync(results)).each(BLOCKS)(
  'the table of %s is that of the last full run',
  (file, name, of) => {
    const expected = of(readResults(results))
    const page = new URL(file, root)
    if (process.env['UPDATE_DOCS'] === '1') {
      writeFileSync(page, replaceBlock(readFileSync(page, 'utf8'), name, expected))
    }
    const reason = 'run this test with UPDATE_DOCS=1 to write it again'
    expect(readBlock(readFileSync(page, 'utf8'), name), reason).toBe(expected)
  },
)

test.skipIf(!existsSync(results))('README shows ten rows', () => {
  const rows = benchHighlights(readResults(results))
    .split('\n')
    .filter((line) => /^\| [^-]/.test(line))
  expect(rows).toHaveLength(11)
})
