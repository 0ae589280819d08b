/**
 * @module The blocks of README.md and `docs/benchmarks.md` that the last full run made. UPDATE_DOCS=1
 * writes them.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, test } from 'vitest'
import { benchHighlights, benchMarkdown, benchRange } from '../../../bench/readme-table.ts'
import {
  latestFile,
  type Results,
  readAllResults,
  readResults,
} from '../../../bench/results-file.ts'
import { readBlock, replaceBlock } from '../../support/readme-tables.ts'

const root = new URL('../../../', import.meta.url)
const results = new URL(latestFile, root).pathname

const allRuns = () => readAllResults(dirname(results))

const BLOCKS: readonly (readonly [file: string, name: string, of: (run: Results) => string])[] = [
  ['docs/benchmarks.md', 'bench', benchMarkdown],
  ['docs/benchmarks.md', 'bench-range', () => benchRange(allRuns())],
  ['README.md', 'bench-highlights', benchHighlights],
]

test.skipIf(!existsSync(results)).each(BLOCKS)(
  'the block of %s named %s is that of the runs that were kept',
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

describe.skipIf(!existsSync(results))('the range over kinds of machines', () => {
  const run = existsSync(results) ? readResults(results) : (undefined as never)
  const other = (factor: number, at: string): Results => ({
    ...run,
    run: { ...run.run, at },
    machine: { ...run.machine, cpu: 'Intel Xeon' },
    verdicts: run.verdicts.map((verdict) => ({ ...verdict, value: verdict.value * factor })),
  })

  test('is none with one of them, whatever the number of runs', () => {
    const again = { ...run, run: { ...run.run, at: '2099-01-01T00:00:00.000Z' } }
    expect(benchRange([run, again])).toMatch(/^One kind of machine so far/)
    expect(benchRange([run, again])).toContain('(2099-01-01)')
  })

  test('has the lowest and the highest of two, the newest run of each', () => {
    const text = benchRange([
      other(0.5, '2099-01-02T00:00:00.000Z'),
      run,
      other(4, '2099-01-01T00:00:00.000Z'),
    ])
    const { value } = run.verdicts.find(
      ({ target }) => target.row === 'push-1g' && target.against === 'distribution',
    )!
    expect(text).toContain('(Intel Xeon)')
    const cells = `| distribution | ${(value / 2).toFixed(2)} | ${value.toFixed(2)} |`
    expect(text).toContain(`| push 1 GiB, one stream ${cells}`)
    expect(text).toContain('2099-01-02')
    expect(text).not.toContain('2099-01-01')
  })
})

test.skipIf(!existsSync(results))('a row that was skipped says why below the table', () => {
  const skipped = [{ id: 'cold-blobs', reason: 'only root may' }]
  const text = benchMarkdown({ ...readResults(results), skipped })
  expect(text).toContain('- `cold-blobs`: SKIPPED: only root may')
})

test.skipIf(!existsSync(results))('README shows ten rows', () => {
  const rows = benchHighlights(readResults(results))
    .split('\n')
    .filter((line) => /^\| [^-]/.test(line))
  expect(rows).toHaveLength(11)
})
