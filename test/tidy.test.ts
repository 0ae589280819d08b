/**
 * @module The rules of the source tree that a compiler does not know. Each failure lists the places
 * and says why the rule exists.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseRoute } from '../src/http/router.ts'
import { routeRows } from '../src/http/routes.ts'
import { ERRORS } from '../src/registry/error-kinds.ts'
import { readBreaks } from './breaks/breaks.mjs'
import {
  deadLinks,
  fencesOf,
  invariantNumbers,
  lostCitations,
  pageNames,
  placesOf,
  textOf,
} from './support/documents.ts'
import { README_BLOCKS, readBlock, replaceBlock } from './support/readme-tables.ts'
import {
  findImports,
  loadedBy,
  readNames,
  readSourceFiles,
  type SourceFile,
} from './support/source-tree.ts'

const root = new URL('../', import.meta.url)
const { UPDATE_DOCS } = process.env
const files = readSourceFiles('src', 'workers')

/** Imports point to a line above, or stay in their own folder. Siblings share a line. */
const LAYERS: readonly (readonly string[])[] = [
  ['src/registry'],
  ['src/config', 'src/runtime', 'src/observability'],
  ['src/metadata'],
  ['src/blobs'],
  ['src/storage', 'src/upstream', 'src/auth', 'src/signing'],
  ['src/distribution'],
  ['src/jobs', 'src/repositories'],
  ['src/mirror', 'src/gc', 'src/sync', 'src/mesh'],
  ['src/http', 'src/admin', 'src/ui'],
  ['src/server.ts', 'src/server'],
  ['src/cli', 'src/cli.ts'],
]

/** One part each: an entry file and the folder of its pieces. */
const SAME_PART: readonly (readonly string[])[] = [
  ['src/cli', 'src/cli.ts'],
  ['src/server', 'src/server.ts'],
]

/** One owner per heavy dependency: swapping or mocking it touches that file only. */
const OWNERS: readonly { readonly dependency: RegExp; readonly owners: RegExp }[] = [
  { dependency: /^uWebSockets\.js/, owners: /^src\/http\/engine\/uws\/loader\.ts$/ },
  { dependency: /^@grpc\/grpc-js$/, owners: /^src\/metadata\/log\/etcd\/client\.ts$/ },
  { dependency: /^@peculiar\//, owners: /^src\/mesh\/identity\/x509\.ts$/ },
  { dependency: /^lmdb$/, owners: /^src\/metadata\/lmdb\/[a-z-]+\.ts$/ },
  { dependency: /^piscina$/, owners: /^src\/runtime\/worker-pool\.ts$/ },
  { dependency: /^koffi$/, owners: /^src\/runtime\/libc\.ts$/ },
  { dependency: /^pino$/, owners: /^src\/observability\/logger\.ts$/ },
  { dependency: /^prom-client$/, owners: /^src\/observability\/metrics\/metrics\.ts$/ },
  { dependency: /^yaml$/, owners: /^src\/config\/load\.ts$/ },
  { dependency: /^undici$/, owners: /^src\/upstream\/client\.ts$/ },
  { dependency: /^@valibot\/to-json-schema$/, owners: /^src\/admin\/openapi\.ts$/ },
  { dependency: /^bcryptjs$/, owners: /^src\/auth\/bcrypt\.ts$/ },
  { dependency: /^jose$/, owners: /^src\/auth\/jwt\.ts$/ },
  { dependency: /^re2js$/, owners: /^src\/registry\/expression\.ts$/ },
  { dependency: /^tldts$/, owners: /^src\/upstream\/registrable-domain\.ts$/ },
  { dependency: /^@sigstore\//, owners: /^src\/signing\/keyless\/sigstore\.ts$/ },
  { dependency: /^croner$/, owners: /^src\/runtime\/schedule\.ts$/ },
  // Bounded caches live where the thing that they cache lives.
  {
    dependency: /^lru-cache$/,
    owners: /^src\/(blobs\/files\/mapped-reader|http\/prepared-answers|auth\/login-cache)\.ts$/,
  },
]

/** Casts to these brands would walk around the grammar; only the parser may make one. */
const BRAND_HOMES: Readonly<Record<string, string>> = {
  Digest: 'src/registry/digest.ts',
  RepositoryName: 'src/registry/name.ts',
  Tag: 'src/registry/tag.ts',
}

interface Part {
  readonly layer: number
  readonly name: string
}

function partOf(path: string): Part | undefined {
  for (const [layer, names] of LAYERS.entries()) {
    const name = names.find((part) => path === part || path.startsWith(`${part}/`))
    if (name !== undefined) return { layer, name }
  }
  return undefined
}

function mayImport(from: Part, to: Part): boolean {
  if (from.name === to.name || to.layer < from.layer) return true
  return SAME_PART.some((names) => names.includes(from.name) && names.includes(to.name))
}

/** `path: what is wrong`, one for each violation that the rule finds in a file. */
function violations(rule: (file: SourceFile) => readonly string[]): readonly string[] {
  return files.flatMap((file) => rule(file).map((problem) => `${file.path}: ${problem}`))
}

describe('the direction of imports', () => {
  test('every file belongs to a layer', () => {
    const strays = files.filter(({ path }) => path.startsWith('src/') && !partOf(path))
    const reason = 'a newcomer finds code by its layer (docs/contributing.md)'
    expect(
      strays.map(({ path }) => path),
      reason,
    ).toEqual([])
  })

  test('nothing points up, or sideways between siblings', () => {
    const found = violations(({ path, imports }) => {
      const from = partOf(path)
      if (from === undefined) return []
      return imports
        .filter(({ isOwn, target }) => {
          const to = partOf(target)
          return isOwn && (to === undefined || !mayImport(from, to))
        })
        .map(({ target }) => `imports ${target}`)
    })
    const reason =
      'lower layers receive what they need as constructor arguments; a feature reaches a sibling through a port wired in server.ts'
    expect(found, reason).toEqual([])
  })

  test('the client of other registries knows neither what is kept nor by which rules', () => {
    const known = /^src\/(registry|runtime|observability|upstream)\//
    const found = violations(({ path, imports }) => {
      if (!path.startsWith('src/upstream/')) return []
      return imports
        .filter(({ isOwn, target }) => isOwn && !known.test(target))
        .map(({ target }) => `imports ${target}`)
    })
    expect(found, 'mirrors and sync jobs ask with it, each by rules of its own').toEqual([])
  })

  test('a fill knows its source by the port alone', () => {
    const found = violations(({ path, imports }) => {
      if (!path.startsWith('src/blobs/fill/')) return []
      return imports
        .filter(({ target }) => /^src\/(upstream|mirror|http|metadata)\//.test(target))
        .map(({ target }) => `imports ${target}`)
    })
    expect(found, 'mirrors, sync jobs and peers feed it').toEqual([])
  })

  test('only the composition root and the command line use more of the configuration than its types', () => {
    const found = violations(({ path, imports }) => {
      if (/^src\/(config|cli|server)\/|^src\/(cli|server)\.ts$/.test(path)) return []
      return imports
        .filter(({ target, isTypeOnly }) => target.startsWith('src/config/') && !isTypeOnly)
        .map(({ target }) => `loads ${target}`)
    })
    expect(found, 'a part is given its settings; it does not read or parse them').toEqual([])
  })
})

describe('the pages', () => {
  const isPage = (path: string) => path.startsWith('src/ui/page/')

  test('know the server by types alone, and Node.js not at all', () => {
    const found = violations(({ path, imports }) => {
      if (!isPage(path)) return []
      return imports
        .filter(({ target, isOwn, isTypeOnly }) =>
          isOwn ? !isPage(target) && !isTypeOnly : target.startsWith('node:'),
        )
        .map(({ target }) => `loads ${target}`)
    })
    expect(found, 'a browser loads them: what they load is sent to it').toEqual([])
  })

  test('are loaded by no part of the server', () => {
    const found = violations(({ path, imports }) => {
      if (isPage(path)) return []
      return imports.filter(({ target }) => isPage(target)).map(({ target }) => `loads ${target}`)
    })
    expect(found, 'the server reads what the build has written').toEqual([])
  })

  test('make no markup of text', () => {
    const found = violations(({ path, text }) => {
      if (!isPage(path)) return []
      const ways =
        /\b(?:dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|eval|Function)\b/g
      return [...text.matchAll(ways)].map(([way]) => `uses ${way}`)
    })
    expect(found, 'names, labels and annotations come from others').toEqual([])
  })
})

describe('dependencies', () => {
  const { dependencies, optionalDependencies, devDependencies } = JSON.parse(
    readFileSync(new URL('package.json', root), 'utf8'),
  ) as Readonly<
    Record<'dependencies' | 'optionalDependencies' | 'devDependencies', Record<string, string>>
  >

  test('each heavy one has one owner', () => {
    const found = violations(({ path, imports }) =>
      imports
        .filter(({ target, isOwn }) => {
          const rule = OWNERS.find(({ dependency }) => dependency.test(target))
          return !isOwn && rule !== undefined && !rule.owners.test(path)
        })
        .map(({ target }) => `imports ${target}`),
    )
    expect(found, 'swapping or mocking a dependency touches one file').toEqual([])
  })

  test('each one that is imported is declared', () => {
    const declared = { ...dependencies, ...optionalDependencies }
    const found = violations(({ path, imports }) =>
      imports
        .filter(({ isOwn, target }) => !isOwn && !target.startsWith('node:'))
        // What a browser runs was bundled by the build.
        .filter(({ target }) => {
          const known = path.startsWith('src/ui/page/') ? devDependencies : declared
          return !Object.hasOwn(known, target)
        })
        .map(({ target }) => `imports ${target}`),
    )
    expect(found, 'what is not in package.json is not there after npm ci').toEqual([])
  })

  test('each one has an exact version', () => {
    const versions = Object.entries({ ...dependencies, ...optionalDependencies })
    const loose = versions.filter(([, version]) => !/^(npm:@?[^@]+@)?\d+\.\d+\.\d+$/.test(version))
    expect(loose, 'two installations must be the same program').toEqual([])
  })
})

describe('files', () => {
  test('each one says what it is in a @module header', () => {
    const header = /^(#!.*\n)?\/\*\*\n \* @module \S/
    const found = violations(({ text }) => (header.test(text) ? [] : ['has no @module header']))
    expect(
      found,
      'the header says what a file is, what it is not, and which spec it serves',
    ).toEqual([])
  })

  test('brands are made by their parsers only', () => {
    const found = violations(({ path, text }) => {
      const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
      return [...code.matchAll(/\bas (Digest|RepositoryName|Tag)\b/g)]
        .filter(([, brand]) => BRAND_HOMES[brand!] !== path)
        .map(([cast]) => `casts "${cast}"`)
    })
    expect(found, 'holding a Digest means that the grammar was checked').toEqual([])
  })

  test('applying a transaction depends on rows and its place alone', () => {
    const entries = files.filter(({ path }) => path.startsWith('src/metadata/apply/'))
    const applied = new Set(entries.flatMap(({ path }) => [path, ...loadedBy(path, files).keys()]))
    expect(applied.size).toBeGreaterThan(entries.length)
    const world =
      /\b(?:Date|performance|random|randomUUID|randomBytes|process|crypto|globalThis|set(?:Timeout|Immediate|Interval))\b/g
    const found = violations(({ path, text, imports }) => {
      if (!applied.has(path)) return []
      const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
      const strangers = imports
        .filter(({ isTypeOnly }) => !isTypeOnly)
        .map(({ target }) => target)
        .filter(
          (target) =>
            !/^(?:node:assert\/strict$|src\/(?:metadata\/(?!lmdb\/|port|scan|retry)|registry\/))/.test(
              target,
            ),
        )
      return [...(code.match(world) ?? []), ...strangers].map((what) => `uses ${what}`)
    })
    expect(found, 'every node must come to the same rows').toEqual([])
  })

  test('rows that belong together are written by one module', () => {
    const paired = 'tagsByDigest|holders|parents|children|referrers|manifestHolders|blobBytes'
    const derived =
      'candidates|eventsByRepository|repositorySums|repositoryOrder|tagOrder|totals|events'
    const index = `${paired}|${derived}`
    const found = violations(({ path, text }) => {
      if (path.startsWith('src/metadata/')) return []
      const changes = text.matchAll(
        new RegExp(`change: '(?:put|putIfAbsent|delete)',\\s+in: '(${index})'`, 'g'),
      )
      return [...changes].map(([, table]) => `changes ${table}`)
    })
    expect(found, 'one half of a pair without the other is a loss; see metadata/edits.ts').toEqual(
      [],
    )
  })

  test('a TODO names its issue', () => {
    const found = violations(({ text }) =>
      [...text.matchAll(/\bTODO\b(?! ?\((#|issue )\d+\)).*/g)].map(([line]) => line.trim()),
    )
    expect(found, 'a TODO without an issue is forgotten; write TODO(#12)').toEqual([])
  })
})

describe('errors', () => {
  /** Folders whose parts know kinds of errors, but not how HTTP says them. */
  const BELOW_HTTP =
    /^src\/(registry|auth|distribution|repositories|gc|jobs|mirror|upstream|metadata|blobs|storage|runtime|config)\//

  /** What speaks of HTTP all the same, and why. The list only gets shorter. */
  const SPEAKS_HTTP: readonly { readonly path: RegExp; readonly why: string }[] = [
    { path: /^src\/registry\/error-kinds\.ts$/, why: 'the table of kinds itself' },
    { path: /^src\/upstream\//, why: 'a client of HTTP: it sends and reads headers' },
    {
      path: /^src\/mirror\/blob-(proofs|source)\.ts$/,
      why: 'asks upstreams and reads the headers of their answers',
    },
  ]

  test('are said by their kind below http/: no status, no header', () => {
    // `allow` in small letters is a word of the configuration.
    const header =
      /['"`]([Cc]ontent-[Rr]ange|[Rr]etry-[Aa]fter|WWW-Authenticate|www-authenticate|Docker-Upload-UUID|Allow|[Ll]ocation|[Rr]ange)['"`]|\b(?:Allow|Location|Range): /
    const found = violations(({ path, text }) => {
      if (!BELOW_HTTP.test(path) || SPEAKS_HTTP.some((it) => it.path.test(path))) return []
      const lines = text.split('\n').filter((line) => !/^\s*(\/?\*|\/\/)/.test(line))
      return lines
        .filter((line) => /\bstatus: \d{3}\b/.test(line) || header.test(line))
        .map((line) => line.trim())
    })
    const reason =
      'registry/error-kinds.ts has the status of each kind, http/error-headers.ts makes its headers'
    expect(found, reason).toEqual([])
  })

  test('are made of kinds that the code throws, each one', () => {
    const texts = files.filter(({ path }) => path !== 'src/registry/error-kinds.ts')
    const lost = Object.keys(ERRORS).filter(
      (kind) => !texts.some(({ text }) => text.includes(`'${kind}'`)),
    )
    expect(lost, 'a row that nothing throws describes an answer that no client gets').toEqual([])
  })
})

describe('README.md and the pages of docs/', () => {
  test('README.md has at most 10 KB', () => {
    expect(Buffer.byteLength(textOf('README.md'))).toBeLessThanOrEqual(10 * 1024)
  })

  test('the table of routes in docs/api.md has every route with its methods, and no other', () => {
    const page = textOf('docs/api.md')
    const table = page.slice(
      page.indexOf('\n## Which paths are there?\n'),
      page.indexOf('\n## What does this error mean?\n'),
    )
    const found = new Map<string, Set<string>>()
    const paths = new Set<string>()
    for (const [, methods = '', cell = ''] of table.matchAll(/^\| ([^|]+) \| ([^|]+) \|/gm)) {
      for (const [, path = ''] of cell.matchAll(/`([^`?]+)[^`]*`/g)) {
        paths.add(path)
        const { kind = 'nothing' } = parseRoute(pathLike(path)) ?? {}
        const all = found.get(kind) ?? new Set()
        for (const method of methods.split(', ')) all.add(method)
        found.set(kind, all)
      }
    }
    const expected = new Map<string, Set<string>>()
    for (const [kind, { methods }] of routeRows) expected.set(kind, new Set(Object.keys(methods)))
    expected.set('admin', new Set(['by endpoint']))
    expect(found).toEqual(expected)
    expect([...paths]).toEqual(expect.arrayContaining([...routeRows.values()].map((it) => it.path)))
  })

  test.each(README_BLOCKS)('the block "$name" of $file is what the code says', async (block) => {
    const expected = await block.body()
    if (UPDATE_DOCS === '1') {
      const page = replaceBlock(textOf(block.file), block.name, expected)
      writeFileSync(new URL(block.file, root), page)
    }
    expect(readBlock(textOf(block.file), block.name), 'npm run docs writes it again').toBe(expected)
  })

  test('every link leads to a file and a heading that are there', () => {
    const isThere = (path: string) => existsSync(new URL(path, root))
    const pages = [...pageNames(), 'bench/README.md', 'test/README.md']
    const dead = pages.flatMap((page) =>
      deadLinks(page, isThere).map((target) => `${page}: ${target}`),
    )
    expect(dead, 'a reader who follows a link must find the page').toEqual([])
  })

  test('README.md leads to every page', () => {
    const lost = pageNames().filter(
      (page) => page !== 'README.md' && !textOf('README.md').includes(`](${page})`),
    )
    expect(lost, 'a page that nothing leads to is not read').toEqual([])
  })

  test('every heading below the first is a question', () => {
    const found = pageNames().flatMap((page) =>
      [
        ...textOf(page)
          .replace(/^( *)```[\s\S]*?^\1```$/gm, '')
          .matchAll(/^##+ (.+)$/gm),
      ]
        .map(([, heading]) => heading!)
        .filter((heading) => !/\?(?: \(\w+\))?$/.test(heading) && heading !== 'License')
        .map((heading) => `${page}: ${heading}`),
    )
    expect(found, 'a reader looks for a question, not for a topic').toEqual([])
  })

  test('what docs/contributing.md says of places is true', () => {
    const places = placesOf('docs/contributing.md')
    expect(places.length).toBeGreaterThan(20)
    const lost = places.filter(({ file, name }) => {
      if (!existsSync(new URL(file, root))) return true
      return !new RegExp(
        `^export (?:abstract |async )*(?:class|function|const|interface|type) ${name}\\b`,
        'm',
      ).test(textOf(file))
    })
    expect(lost, 'a newcomer must find it there after one guess').toEqual([])
  })

  test('what docs/contributing.md says of layers is the rule of this test', () => {
    const lines = [...textOf('docs/contributing.md').matchAll(/^\d+\. ((?:`src\/[^`]+`.*)+)$/gm)]
    const written = lines.map(([, line]) =>
      [...line!.matchAll(/`(src\/[^`]+)`/g)].map(([, part]) => part!),
    )
    const there = LAYERS.map((parts) => parts.filter((part) => existsSync(new URL(part, root))))
    expect(written).toEqual(there)
  })

  test('its tree has every folder of src, and no other', () => {
    const [tree] = fencesOf('docs/contributing.md')
    const named = [...tree!.text.matchAll(/^(src\/\S+)/gm)].map(([, part]) => part!)
    const there = readdirSync(new URL('src', root), { withFileTypes: true }).map((one) =>
      one.isDirectory() ? `src/${one.name}/` : `src/${one.name}`,
    )
    const inTree = (part: string) =>
      named.includes(part) || named.includes(part.replace(/\/$/, '.ts'))
    expect(there.filter((part) => !inTree(part))).toEqual([])
    expect(named.filter((part) => !there.includes(part))).toEqual([])
  })
})

test('the documents and invariants that comments cite are there', () => {
  const invariants = invariantNumbers()
  expect([...invariants]).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  const isThere = (path: string) => existsSync(new URL(path, root))
  // This file and its helper write down what a citation looks like.
  const left = /^(CHANGELOG\.md|test\/tidy\.test\.ts|test\/support\/documents\.ts)$/
  const lost = readNames()
    .filter((file) => /\.(ts|mjs|md|sh|ya?ml)$/.test(file) && !left.test(file))
    .flatMap((file) =>
      lostCitations(file, textOf(file), isThere, invariants).map((what) => `${file}: ${what}`),
    )
  expect(lost, 'a reader who follows a citation must find it').toEqual([])
})

/** A path as the table writes it, with something in the place of what stands in brackets. */
function pathLike(path: string): string {
  return path.replace(/<(\w+)[^>]*>/g, (_all, word) =>
    word === 'digest' ? `sha256:${'0'.repeat(64)}` : 'a',
  )
}

test('the files that comments and documents name are there', () => {
  const all = readNames()
  const named = /`((?:[\w-]+\/)*[\w.-]+\.(?:ts|mjs|sh))`/g
  // The page of tests leaves the ends of names out.
  const tests = /`((?:http|unit|property|fault|crash|hostile)\/[a-z/-]+)`/g
  const readers = all.filter((file) => /\.(ts|mjs|md|sh)$/.test(file) && file !== 'CHANGELOG.md')
  const lost = readers.flatMap((file) =>
    [
      ...textOf(file)
        .replace(/New file `[^`]+`/g, '')
        .matchAll(named),
    ]
      .map(([, name]) => name!)
      .filter((name) => !all.some((one) => one === name || one.endsWith(`/${name}`)))
      .map((name) => `${file}: ${name}`),
  )
  const lostTests = [...textOf('test/README.md').matchAll(tests)]
    .map(([, name]) => `test/${name!.replace(/\/$/, '')}`)
    .filter((name) => !all.some((one) => one.startsWith(`${name}/`) || one.startsWith(`${name}.`)))
  expect([...lost, ...lostTests], 'a reader who follows a name must find the file').toEqual([])
})

describe('switches', () => {
  test('every switch says what happens to a case that it does not name', () => {
    const found = violations(({ text }) =>
      switchesOf(text)
        .filter((body) => !/\n\s+default:/.test(body))
        .map(
          (body) => `${body.slice(0, 60).split('\n')[0]} has no default: end it with assertNever`,
        ),
    )
    expect(found, 'a case that is added later must not fall through in silence').toEqual([])
  })
})

/** The text of each switch statement, from its word to its closing brace. */
function switchesOf(text: string): string[] {
  return [...text.matchAll(/\bswitch \(/g)].map(({ index }) => {
    let depth = 0
    for (let at = text.indexOf(') {\n', index); at < text.length; at += 1) {
      if (text[at] === '{') depth += 1
      if (text[at] === '}') depth -= 1
      if (text[at] === '}' && depth === 0) return text.slice(index, at)
    }
    return text.slice(index)
  })
}

describe('the breaks on purpose', async () => {
  const breaks = await readBreaks()

  test('each one stands once in the text that it changes', () => {
    const lost = breaks
      .filter(
        ({ file, find }) => readFileSync(new URL(file, root), 'utf8').split(find).length !== 2,
      )
      .map(({ what, file }) => `${file}: ${what}`)
    expect(lost, 'a break that finds nothing to break guards nothing').toEqual([])
  })

  test('each one names a guard that is there', () => {
    const lost = breaks.filter(({ guard }) => !existsSync(new URL(guard.file, root)))
    expect(lost.map(({ what }) => what)).toEqual([])
  })
})

describe('the reader of imports', () => {
  test('sees every form of import', () => {
    const text = [
      "import { a } from './a.ts'",
      "import type { B } from '../b.ts'",
      'import {',
      '  type C,',
      '  d,',
      "} from './c.ts'",
      "export * from './d.ts'",
      "import './e.ts'",
      "const f = await import('yaml')",
      "type G = typeof import('@scope/g/sub')",
      "const h = require('lmdb')",
      "const i = createRequire(import.meta.url)('koffi')",
      "// import './comment.ts'",
    ].join('\n')
    expect(
      findImports('src/x/y.ts', text)
        .map(({ target, isTypeOnly }) => (isTypeOnly ? `type ${target}` : target))
        .sort(),
    ).toEqual(
      [
        'src/x/a.ts',
        'type src/b.ts',
        'src/x/c.ts',
        'src/x/d.ts',
        'src/x/e.ts',
        'yaml',
        'type @scope/g',
        'lmdb',
        'koffi',
      ].sort(),
    )
  })
})
