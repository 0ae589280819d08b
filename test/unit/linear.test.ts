/**
 * @module What strangers send meets linear code only. Three nets, none of which is told where to look:
 * every regular expression in the source, every exported function that takes text or bytes first, and
 * (in `http/hostile-headers.test.ts`) every header that the server reads.
 */
import { isSafe } from 'redos-detector'
import { describe, expect, test } from 'vitest'
import { findExpressions } from '../support/expressions.ts'
import { hostileTexts } from '../support/hostile-texts.ts'
import { readSourceFiles } from '../support/source-tree.ts'

const files = readSourceFiles('src', 'workers')

/**
 * A text of 64 KiB takes 21 ms where each character becomes a part, on a slow and busy machine. A parser
 * that is quadratic takes seconds.
 */
const msMax = 100

describe('every regular expression', () => {
  test('takes a time in proportion to its text', () => {
    const found: string[] = []
    let count = 0
    for (const { path, text } of files) {
      for (const { source, flags, line } of findExpressions(
        text.replace(/^#!.*/, ''),
        path.endsWith('.tsx'),
      )) {
        count += 1
        const verdict = isSafe(new RegExp(source, flags), { timeout: 20_000 })
        if (!verdict.safe) found.push(`${path}:${line} /${source}/${flags}`)
      }
    }
    // Otherwise the search itself is broken.
    expect(count).toBeGreaterThan(80)
    expect(found, 'two quantifiers compete for the same characters').toEqual([])
  }, 60_000)

  test('is written as one, so that this test sees it', () => {
    /** Patterns of ours, made of words of ours. */
    const ours = ['src/admin/path-pattern.ts', 'src/http/engine/address.ts']
    const made = files.filter(({ text }) => /\bRegExp\(/.test(text)).map(({ path }) => path)
    expect(made.filter((path) => !ours.includes(path))).toEqual([])
  })

  test('is found wherever it stands', () => {
    const text = [
      'const a = /a+/g.test(x) // /no/',
      `const b = y / 2 / z + '/no/' + \`/no/\${c.replace(/b\\/[/]/, '')}/no/\``,
      'return /c/',
      '/* /no/ */ const d = [/d/, (1) / 2, /e/i]',
    ].join('\n')
    expect(findExpressions(text).map(({ source, line }) => `${line} ${source}`)).toEqual([
      '1 a+',
      '2 b\\/[/]',
      '3 c',
      '4 d',
      '4 e',
    ])
    const page = "return <a href={b.replace(/f/, '')}><b> / </b>{c}</a> || <br />"
    expect(findExpressions(page, true).map(({ source }) => source)).toEqual(['f'])
  })
})

/** Folders in which text from outside is taken apart. */
const FOLDERS =
  /^src\/(?:admin|auth|config|distribution|http|jobs|mirror|observability|registry|repositories|upstream)\//

const EXPORTED =
  /export function\*? (\w+)(?:<[^(]*>)?\(\s*(\w+): ([^,)=]+)(?:,\s*(\w+)\??: ([^,)=]+))?/g

/** First parameters that may come from outside. */
const TEXT = /^(?:readonly )?(?:string|string \| undefined|unknown|string\[\]|Uint8Array|Buffer)$/

/** Slow on purpose, in a worker, with a length that was checked before; or given words of ours alone. */
const SLOW = new Set(['hashBcrypt', 'verifyBcrypt', 'pathPattern'])

interface Parser {
  readonly path: string
  readonly name: string
  readonly takes: string
  /** Whether another text follows. */
  readonly takesTwo: boolean
}

const PARSERS: readonly Parser[] = files
  .filter(({ path }) => FOLDERS.test(path))
  .flatMap(({ path, text }) =>
    [...text.matchAll(EXPORTED)].map(([, name = '', , type = '', , second = '']) => ({
      path,
      name,
      takes: type.trim(),
      takesTwo: /^(?:string|string \| undefined)$/.test(second.trim()),
    })),
  )
  .filter(({ name, takes }) => TEXT.test(takes) && !SLOW.has(name))

describe('every function that takes text apart', () => {
  test('is found by its signature', () => {
    expect(PARSERS.length).toBeGreaterThan(60)
    const names = PARSERS.map(({ name }) => name)
    expect(names).toEqual(
      expect.arrayContaining([
        'parseRange',
        'claimedName',
        'parseScopes',
        'parseHead',
        'parseDigest',
      ]),
    )
  })

  test.each(PARSERS.map((it) => [`${it.path} ${it.name}`, it] as const))(
    '%s',
    async (_title, { path, name, takes, takesTwo }) => {
      const loaded = (await import(`../../${path}`)) as Readonly<Record<string, unknown>>
      const parse = loaded[name] as (...values: unknown[]) => unknown
      const call = (text: string) => {
        const first = takes.includes('[]')
          ? [text]
          : /Uint8Array|Buffer/.test(takes)
            ? Buffer.from(text)
            : text
        const startedAt = performance.now()
        try {
          // Generators are run to their end.
          const result = takesTwo ? parse(first, text) : parse(first)
          if (Symbol.iterator in Object(result) && typeof result !== 'string') {
            for (const _ of result as Iterable<unknown>);
          }
        } catch {
          // Refused, or called with too little: both may be, slowness may not.
        }
        return performance.now() - startedAt
      }
      for (const text of hostileTexts()) {
        let took = call(text)
        // The least of some: the machine has other work.
        for (let again = 0; took > msMax && again < 4; again += 1) {
          took = Math.min(took, call(text))
        }
        expect(took, JSON.stringify(text.slice(0, 24))).toBeLessThan(msMax)
      }
    },
    60_000,
  )
})
