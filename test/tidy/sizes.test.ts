/**
 * @module Rules of sizes and names: what costs a reader is a long function, a wide list of imports, a
 * full folder, and one thought in six files.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { type Exceptions, notListed } from '../support/exceptions.ts'
import { readSourceFiles } from '../support/source-tree.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const files = readSourceFiles('src', 'workers')

const COMPLEX = 'noExcessiveCognitiveComplexity'
const LONG = 'noExcessiveLinesPerFunction'

/** Files with functions that the linter finds too hard or too long; `biome.json` excuses the same. */
const HARD_FUNCTIONS: Readonly<Record<string, Exceptions>> = {
  [COMPLEX]: {
    'src/config/values.ts': 'one mapping, and every mistake of its keys',
    'src/gc/mark/rings.ts': 'one walk over a graph that leaves at four places',
    'src/gc/plan/bulk-delete.ts': 'pages and lists of three kinds in one loop',
    'src/http/engine/forwarded.ts': 'one pass over a header by hand, on the way of every request',
    'src/http/engine/uws/acceptor.ts': 'the states of a connection before its first request',
    'src/http/dispatch.ts': 'every check in the order in which a request meets it',
    'src/upstream/upstream.ts': 'retries, redirects and tokens in one loop',
  },
  [LONG]: {
    'src/admin/gc-endpoints.ts': 'the table holds its handlers instead of naming them',
    'src/admin/image-endpoints.ts': 'the table holds its handlers instead of naming them',
    'src/admin/mirror-endpoints.ts': 'the table holds its handlers instead of naming them',
    'src/admin/repository-endpoints.ts': 'the table holds its handlers instead of naming them',
    'src/observability/metrics/mirrors.ts': 'declares every metric of a mirror in a row',
  },
}

/** Files with more than 25 imported modules. */
const WIDE_FILES: Exceptions = {
  'src/http/handlers/mirrored.ts': 'three kinds of answers, and the words for each outcome',
}

/** Folders with more than 20 files. */
const FULL_FOLDERS: Exceptions = {
  'src/auth': 'tokens are half of it',
  'src/mirror': 'tags, blobs and lists are a folder each to be',
  'src/registry': 'manifests are a third of it',
  'src/runtime': 'worker threads, locks and seams in one folder',
  'src/upstream': 'client, connections and limits in one folder',
}

/** Folders with three files of one first word. */
const EQUAL_WORDS: Exceptions = {
  'src/runtime/worker-': 'the one place that may speak of workers by name',
}

/** Files under 40 lines with one importer and no test of their own. */
const FRAGMENTS: Exceptions = {}

describe('functions', async () => {
  const found = await hardFunctions()

  test.each([COMPLEX, LONG])('%s holds for all that are not listed', (rule) => {
    expect(notListed(found.get(rule) ?? [], HARD_FUNCTIONS[rule]!)).toEqual([])
  })

  test('biome.json excuses what is listed here, and no more', () => {
    const { overrides } = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8')) as {
      overrides: readonly {
        includes: readonly string[]
        linter: { rules: { complexity: Readonly<Record<string, unknown>> } }
      }[]
    }
    for (const rule of [COMPLEX, LONG]) {
      const excused = overrides
        .filter(({ linter }) => linter.rules.complexity[rule] === 'off')
        .flatMap(({ includes }) => includes)
      expect(new Set(excused)).toEqual(new Set(Object.keys(HARD_FUNCTIONS[rule]!)))
    }
  })
})

describe('files', () => {
  test('none imports more than 25 modules', () => {
    const wide = files.filter(
      ({ imports }) => new Set(imports.map(({ target }) => target)).size > 25,
    )
    expect(
      notListed(
        wide.map(({ path }) => path),
        WIDE_FILES,
      ),
      'what needs so much does more than one thing',
    ).toEqual([])
  })

  test('one that is long says why, few are, and most are short', () => {
    const long = files.filter(({ lines }) => lines > 400)
    const unexplained = long.filter(({ text }) => !/^ \* @long \S/m.test(text))
    const reason = 'split a file that has grown to two nouns; one noun says @long and why'
    expect(
      unexplained.map(({ path, lines }) => `${path}: ${lines} lines`),
      reason,
    ).toEqual([])
    expect(long.length, reason).toBeLessThanOrEqual(5)
    const longest = files.filter(({ lines }) => lines > 600).map(({ path }) => path)
    expect(longest, reason).toEqual([])
    const short = files.filter(({ lines, text }) => lines <= 400 && /^ \* @long \S/m.test(text))
    expect(
      short.map(({ path }) => path),
      'these say @long without need',
    ).toEqual([])
    const lengths = files.map(({ lines }) => lines).sort((a, b) => a - b)
    const quantile = (share: number) => lengths[Math.floor((lengths.length - 1) * share)] ?? 0
    expect(quantile(0.9), '90% of the files').toBeLessThanOrEqual(300)
    expect(quantile(0.5), 'half of the files').toBeLessThanOrEqual(130)
  })

  test('a fragment is folded into the file that needs it, or says why it stands apart', () => {
    const tests = readSourceFiles('test', 'bench')
    const importersIn = (some: typeof files, target: string) =>
      some.filter(({ imports }) => imports.some((one) => one.target === target)).length
    const fragments = files
      // Each command is a file, which the table of commands loads.
      .filter(({ path }) => !/^(workers|src\/cli\/commands)\//.test(path))
      .filter(({ lines, text }) => lines < 40 && !/^ \* @apart \S/m.test(text))
      .filter(({ path }) => importersIn(files, path) === 1 && importersIn(tests, path) === 0)
    expect(
      notListed(
        fragments.map(({ path }) => path),
        FRAGMENTS,
      ),
      'one thought in two files is read twice',
    ).toEqual([])
  })
})

describe('folders', () => {
  const folders = groupBy(files, ({ path }) => path.slice(0, path.lastIndexOf('/')))

  test('none has more than 20 files', () => {
    const full = [...folders].filter(([, all]) => all.length > 20).map(([folder]) => folder)
    expect(notListed(full, FULL_FOLDERS), 'a list of so many names is not read').toEqual([])
  })

  test('three files of one first word are a folder', () => {
    const found = [...folders].flatMap(([folder, all]) => {
      const words = groupBy(all, ({ path }) => firstWord(path))
      return [...words].filter(([, some]) => some.length >= 3).map(([word]) => `${folder}/${word}-`)
    })
    expect(notListed(found, EQUAL_WORDS), 'a prefix is a folder that was not made').toEqual([])
  })
})

function groupBy<T>(all: readonly T[], keyOf: (one: T) => string): ReadonlyMap<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const one of all) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one])
  return groups
}

function firstWord(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/[-.].*$/, '')
}

/** Files that the linter reports for each rule, without the exceptions of `biome.json`. */
async function hardFunctions(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const folder = mkdtempSync(join(tmpdir(), 'fastregistry-biome-'))
  try {
    const { overrides } = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8')) as {
      overrides: readonly { linter: { rules: object } }[]
    }
    // The first of the overrides switches the rules on.
    const rules = { preset: 'none', ...overrides[0]!.linter.rules }
    writeFileSync(join(folder, 'biome.json'), JSON.stringify({ root: true, linter: { rules } }))
    const biome = join(root, 'node_modules/@biomejs/biome/bin/biome')
    const options = [
      'lint',
      `--config-path=${folder}`,
      '--reporter=github',
      '--max-diagnostics=none',
    ]
    const run = promisify(execFile)(process.execPath, [biome, ...options, 'src', 'workers'], {
      cwd: root,
      maxBuffer: 16 * 1024 * 1024,
    })
    const { stdout } = await run.catch((error: { stdout: string }) => error)
    const found = new Map<string, Set<string>>()
    for (const [, rule, path] of stdout.matchAll(/title=lint\/complexity\/(\w+),file=([^,]+),/g)) {
      found.set(rule!, (found.get(rule!) ?? new Set()).add(relative(root, path!)))
    }
    return found
  } finally {
    rmSync(folder, { recursive: true })
  }
}
