/**
 * @module The source files of the product with their imports, for the tidy test. Reads text, not
 * syntax trees: the house style keeps every import on lines of its own.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface SourceFile {
  /** From the root of the repository: `src/registry/digest.ts`. */
  readonly path: string
  readonly text: string
  readonly lines: number
  readonly imports: readonly Import[]
}

export interface Import {
  /** A path from the root for our own files, else the name of the package. */
  readonly target: string
  readonly isOwn: boolean
  /** `import type`: nothing is loaded at run time. */
  readonly isTypeOnly: boolean
}

const root = new URL('../../', import.meta.url)

/** Every TypeScript file below the folders, in the order of their paths. */
export function readSourceFiles(...folders: readonly string[]): readonly SourceFile[] {
  return folders.flatMap((folder) =>
    readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.tsx?$/.test(name))
      .sort()
      .map((name) => readSourceFile(posix.join(folder, name))),
  )
}

/** Files of the repository that are written by hand: what is installed, built or measured is left out. */
export function readNames(): readonly string[] {
  const left = /^(node_modules|dist|\.git|\.cache|bench\/results)(\/|$)/
  return readdirSync(root, { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter((one) => one.isFile())
    .map((one) => posix.relative(fileURLToPath(root), posix.join(one.parentPath, one.name)))
    .filter((name) => !left.test(name))
}

function readSourceFile(path: string): SourceFile {
  const text = readFileSync(new URL(path, root), 'utf8')
  return { path, text, lines: text.trimEnd().split('\n').length, imports: findImports(path, text) }
}

const STATIC_IMPORT = /^\s*(?:import|export)(\s+type)?\b[^'"`;]*?from\s+'([^']+)'/gm
const SIDE_EFFECT_IMPORT = /^\s*import\s+'([^']+)'/gm
const DYNAMIC_IMPORT = /(typeof\s+)?\bimport\(\s*'([^']+)'/g
const REQUIRE = /\b(?:require(?:\.resolve)?|createRequire\([^()]*\))\(\s*'([^']+)'/g

export function findImports(path: string, text: string): readonly Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  const found: Import[] = []
  const add = (specifier: string, isTypeOnly: boolean) => {
    const isOwn = specifier.startsWith('.')
    const target = isOwn ? posix.join(posix.dirname(path), specifier) : packageOf(specifier)
    found.push({ target, isOwn, isTypeOnly })
  }
  for (const [, type, specifier] of code.matchAll(STATIC_IMPORT))
    add(specifier!, type !== undefined)
  for (const [, specifier] of code.matchAll(SIDE_EFFECT_IMPORT)) add(specifier!, false)
  for (const [, type, specifier] of code.matchAll(DYNAMIC_IMPORT)) {
    add(specifier!, type !== undefined)
  }
  for (const [, specifier] of code.matchAll(REQUIRE)) add(specifier!, false)
  return found
}

function packageOf(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier
  const words = specifier.split('/')
  return specifier.startsWith('@') ? words.slice(0, 2).join('/') : words[0]!
}

/** A cycle of imports, those of types too, as the paths in order, or `undefined`. */
export function findCycle(files: readonly SourceFile[]): readonly string[] | undefined {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const finished = new Set<string>()
  const visit = (path: string, trail: readonly string[]): readonly string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path]
    if (finished.has(path)) return undefined
    for (const { target, isOwn } of byPath.get(path)?.imports ?? []) {
      if (!isOwn) continue
      const cycle = visit(target, [...trail, path])
      if (cycle !== undefined) return cycle
    }
    finished.add(path)
    return undefined
  }
  for (const file of files) {
    const cycle = visit(file.path, [])
    if (cycle !== undefined) return cycle
  }
  return undefined
}

/**
 * Every file of ours that is loaded with this one, with the file that imports it. Imports of types
 * load nothing.
 */
export function loadedBy(entry: string, files: readonly SourceFile[]): ReadonlyMap<string, string> {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const loaded = new Map<string, string>()
  const visit = (path: string) => {
    for (const { target, isOwn, isTypeOnly } of byPath.get(path)?.imports ?? []) {
      if (!isOwn || isTypeOnly || loaded.has(target)) continue
      loaded.set(target, path)
      visit(target)
    }
  }
  visit(entry)
  return loaded
}
