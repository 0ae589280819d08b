/**
 * What ships is what runs: the packages of a production install, the files of the package, and the
 * image.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { publint } from 'publint'
import { describe, expect, test } from 'vitest'
import { deadLinks, pageNames } from '../support/documents.ts'
import { type Exceptions, notListed } from '../support/exceptions.ts'
import { inByteOrder } from '../support/registry-client.ts'
import { readSourceFiles } from '../support/source-tree.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')

interface Locked {
  readonly dev?: boolean
  readonly optional?: boolean
  readonly os?: readonly string[]
  readonly bin?: Readonly<Record<string, string>>
}

const { packages } = JSON.parse(read('package-lock.json')) as {
  readonly packages: Readonly<Record<string, Locked>>
}

/** What `npm ci --omit=dev` installs: all that is not for development alone. */
const production = Object.entries(packages).filter(([path, { dev }]) => path !== '' && !dev)
const nameOf = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 13)

/** Everywhere; what is for one platform alone is a binary of one of these. */
const PACKAGES = [
  '@grpc/grpc-js',
  '@grpc/proto-loader',
  '@harperfast/extended-iterable',
  '@js-sdsl/ordered-map',
  '@napi-rs/blake-hash',
  '@napi-rs/nice',
  '@opentelemetry/api',
  '@peculiar/asn1-schema',
  '@peculiar/asn1-x509',
  '@peculiar/utils',
  '@pinojs/redact',
  '@protobufjs/aspromise',
  '@protobufjs/base64',
  '@protobufjs/codegen',
  '@protobufjs/eventemitter',
  '@protobufjs/fetch',
  '@protobufjs/float',
  '@protobufjs/path',
  '@protobufjs/pool',
  '@protobufjs/utf8',
  '@sigstore/bundle',
  '@sigstore/core',
  '@sigstore/protobuf-specs',
  '@sigstore/verify',
  '@types/node',
  '@valibot/to-json-schema',
  'ansi-regex',
  'ansi-styles',
  'asn1js',
  'atomic-sleep',
  'bcryptjs',
  'bintrees',
  'cliui',
  'color-convert',
  'color-name',
  'croner',
  'detect-libc',
  'emoji-regex',
  'escalade',
  'get-caller-file',
  'is-fullwidth-code-point',
  'jose',
  'koffi',
  'lmdb',
  'lodash.camelcase',
  'long',
  'lru-cache',
  'msgpackr',
  'msgpackr-extract',
  'node-addon-api',
  'node-gyp-build-optional-packages',
  'on-exit-leak-free',
  'ordered-binary',
  'pino',
  'pino-abstract-transport',
  'pino-std-serializers',
  'piscina',
  'process-warning',
  'prom-client',
  'protobufjs',
  'pvtsutils',
  'pvutils',
  'quick-format-unescaped',
  're2js',
  'real-require',
  'require-directory',
  'safe-stable-stringify',
  'sonic-boom',
  'split2',
  'string-width',
  'strip-ansi',
  'tdigest',
  'thread-stream',
  'tldts',
  'tldts-core',
  'tslib',
  'undici',
  'undici-types',
  'valibot',
  'weak-lru-cache',
  'wrap-ansi',
  'y18n',
  'yaml',
  'yargs',
  'yargs-parser',
]

/** Families of binaries, one package a platform. */
const BINARIES =
  /^(?:@koromix\/koffi|@lmdb\/lmdb|@msgpackr-extract\/msgpackr-extract|@napi-rs\/(?:blake-hash|nice))-/

describe('a production install', () => {
  test('has these packages, and no other', () => {
    const names = production
      .filter(([path, { os }]) => os === undefined && !nameOf(path).startsWith('uWebSockets.js-'))
      .map(([path]) => nameOf(path))
    expect([...new Set(names)].filter((name) => !BINARIES.test(name)).sort(inByteOrder)).toEqual(
      PACKAGES,
    )
  })

  test('has binaries of these alone, each as an option', () => {
    const ofPlatforms = production.filter(([, { os }]) => os !== undefined)
    const strays = ofPlatforms.filter(
      ([path, { optional }]) =>
        optional !== true || !(BINARIES.test(nameOf(path)) || /uWebSockets\.js-/.test(path)),
    )
    expect(strays.map(([path]) => path)).toEqual([])
  })

  test('has no compiler, no bundler, no test runner and no package manager', () => {
    const tools = /^(?:tsc|tsserver|esbuild|rolldown|vite|vitest|biome|node-gyp|npm|npx|yarn|pnpm)$/
    const found = production.flatMap(([path, { bin = {} }]) =>
      Object.keys(bin)
        .filter((name) => tools.test(name))
        .map((name) => `${path}: ${name}`),
    )
    expect(found).toEqual([])
    expect(production.filter(([path]) => /typescript|esbuild|rolldown/.test(path))).toEqual([])
  })
})

/** Files that nothing loads yet. */
const NOT_LOADED: Exceptions = {}

describe('the package', () => {
  const files = readSourceFiles('src', 'workers')
  const byPath = new Map(files.map((file) => [file.path, file]))

  test('has no file that nothing loads', () => {
    const reached = new Set<string>()
    const open = ['src/cli.ts', 'src/server.ts', 'src/ui/page/main.tsx']
    open.push(...files.map(({ path }) => path).filter((path) => path.startsWith('workers/')))
    for (let path = open.pop(); path !== undefined; path = open.pop()) {
      if (reached.has(path)) continue
      reached.add(path)
      for (const { target, isOwn } of byPath.get(path)?.imports ?? []) if (isOwn) open.push(target)
    }
    const strays = files.map(({ path }) => path).filter((path) => !reached.has(path))
    expect(notListed(strays, NOT_LOADED)).toEqual([])
  })

  test('keeps what its manifest promises to programs and tools', async () => {
    const { messages } = await publint({ pkgDir: root, strict: true, pack: 'npm' })
    expect(messages).toEqual([])
  }, 60_000)

  test('has what runs, and not what measures it', () => {
    const { files: shipped } = JSON.parse(read('package.json')) as { files: readonly string[] }
    expect(shipped.filter((name) => name.startsWith('dist'))).toEqual([
      'dist/src',
      'dist/ui',
      'dist/workers',
    ])
  })

  test('has every page, and what the pages lead to', () => {
    const { files: shipped } = JSON.parse(read('package.json')) as { files: readonly string[] }
    const ships = (path: string) =>
      shipped.some((name) => path === name || path.startsWith(`${name}/`))
    expect(pageNames().filter((page) => !ships(page))).toEqual([])
    // What only a checkout has: recipes of systemd and containers.
    const isThere = (path: string) => path === 'deploy' || ships(path)
    const lost = pageNames().flatMap((page) => deadLinks(page, isThere))
    expect(lost).toEqual([])
  })
})

describe('the image', () => {
  const dockerfile = read('Dockerfile')
  const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '))

  test('is made of what was taken out of the one with the tools, in which it was proved', () => {
    expect(last).toMatch(/^\nFROM scratch\n/)
    expect(last).not.toMatch(/\b(?:npm|npx|apt|yarn)\b/)
    for (const tool of ['npm', 'npx', 'corepack', 'yarn', 'apt', 'dpkg']) {
      expect(dockerfile, tool).toContain(tool)
    }
  })

  test('asks its health without knowing port, certificate or path', () => {
    expect(last).toContain('CMD ["node", "dist/src/cli.js", "health", "live"]')
    expect(dockerfile).not.toMatch(/5000\//)
  })
})
