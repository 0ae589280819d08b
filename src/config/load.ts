/**
 * @module Loads the configuration: file → tree → checked settings → frozen `Config`. The only user
 * of the YAML library, which is loaded only when there is a file to read.
 */
import { readFileSync } from 'node:fs'
import type { Alias, Document, LineCounter, Node, Pair, YAMLError } from 'yaml'
import { assembleConfig, checkRelations } from './assemble.ts'
import { type CheckedSettings, checkSettings } from './check.ts'
import type { Config } from './config.ts'
import { ConfigError, type Position, type Problem } from './explain.ts'
import type { SettingKey } from './schema.ts'
import type { Environment, SourceEntry, SourceNode } from './source.ts'

export interface LoadOptions {
  /** YAML file; without one the defaults hold. */
  readonly file?: string
  /** Values of flags by the key of their setting; they win over the file. */
  readonly flags?: ReadonlyMap<SettingKey, string>
  readonly environment?: Environment
}

/** A configuration, and where its values stand: for what is found out about them later. */
export interface PlacedConfig {
  readonly config: Config
  readonly placeOf: CheckedSettings['placeOf']
}

/** The configuration, deep-frozen. Throws one `ConfigError` that names everything to correct. */
export async function loadConfig(options: LoadOptions = {}): Promise<Config> {
  return (await loadPlacedConfig(options)).config
}

/** The same with the places of its values. */
export async function loadPlacedConfig(options: LoadOptions = {}): Promise<PlacedConfig> {
  const { file } = options
  if (file === undefined) return finish(undefined, 'defaults', options)
  const { root, problems } = await parseYaml(readText(file), file)
  return finish(root, file, options, problems)
}

/** The same for text that was read already; `source` is its name in errors. */
export async function loadConfigText(
  text: string,
  source: string,
  options: Omit<LoadOptions, 'file'> = {},
): Promise<Config> {
  const { root, problems } = await parseYaml(text, source)
  return finish(root, source, options, problems).config
}

function finish(
  root: SourceNode | undefined,
  source: string,
  options: LoadOptions,
  problemsOfSyntax: readonly Problem[] = [],
): PlacedConfig {
  const flags = options.flags ?? new Map()
  const environment = options.environment ?? {}
  const checked = checkSettings({ source, root, flags, environment })
  const problems = [...problemsOfSyntax, ...checked.problems, ...checkRelations(checked)]
  if (problems.length > 0) throw new ConfigError(problems)
  return { config: assembleConfig(checked.values), placeOf: checked.placeOf }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError([{ source: file, message: `cannot be read: ${reasonOf(error)}` }])
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is not a folder',
}

function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code
  return (code !== undefined && REASONS[code]) || code || (error as Error).message
}

interface ParsedYaml {
  /** `undefined` for an empty document, and where the syntax is broken. */
  readonly root: SourceNode | undefined
  readonly problems: readonly Problem[]
}

async function parseYaml(text: string, source: string): Promise<ParsedYaml> {
  const yaml = await import('yaml')
  const lines = new yaml.LineCounter()
  const document = yaml.parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const errors = [...document.errors, ...document.warnings]
  const duplicates = errors.filter((error) => error.code === 'DUPLICATE_KEY')
  // Behind the first break of the syntax the library only reports its consequences.
  const broken = errors.filter((error) => error.code !== 'DUPLICATE_KEY').slice(0, 1)
  const problems = [...duplicates, ...broken].map((error): Problem => {
    return { source, position: toPosition(lines, error.pos[0]), message: explainYaml(error, text) }
  })
  // With a duplicate key the tree still stands, so the rest of the file is checked too.
  if (broken.length > 0 || document.contents === null) return { root: undefined, problems }
  const converter = new TreeConverter(yaml, document, lines)
  try {
    return { root: converter.convert(document.contents, 0), problems }
  } catch (error) {
    if (!(error instanceof NestingError)) throw error
    return { root: undefined, problems: [...problems, { source, ...error.place }] }
  }
}

function toPosition(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset)
  return { line: Math.max(1, line), column: Math.max(1, col) }
}

/** One line, without the piece of the file that the library repeats: it could hold a secret. */
function explainYaml(error: YAMLError, text: string): string {
  if (error.code === 'DUPLICATE_KEY') {
    const key = /^[^\s:]*/.exec(text.slice(error.pos[0]))?.[0] ?? ''
    return `key "${key}" appears twice in its section; keep one`
  }
  if (error.code === 'MULTIPLE_DOCS') return 'expected one document; remove what follows "---"'
  const isReference = text.startsWith('${', error.pos[0] - 1)
  if (isReference) return 'not valid YAML: put a reference in quotes inside braces and brackets'
  const [line = ''] = error.message.split('\n', 1)
  const quoted = [': "', ": '"].map((mark) => line.indexOf(mark)).filter((at) => at >= 0)
  return `not valid YAML: ${line.slice(0, Math.min(line.length, ...quoted))}`
}

/** Deepest nesting and most nodes of a file: aliases could make it endless otherwise. */
const nestingMax = 32
const nodesMax = 100_000

class NestingError extends Error {
  readonly place: Pick<Problem, 'position' | 'message'>

  constructor(position: Position, message: string) {
    super(message)
    this.place = { position, message }
  }
}

/** Turns the library's nodes into ours, with aliases resolved where they stand. */
class TreeConverter {
  readonly #yaml: typeof import('yaml')
  readonly #document: Document
  readonly #lines: LineCounter
  #nodes = 0

  constructor(yaml: typeof import('yaml'), document: Document, lines: LineCounter) {
    this.#yaml = yaml
    this.#document = document
    this.#lines = lines
  }

  convert(node: Node | null, depth: number, around: Position = { line: 1, column: 1 }): SourceNode {
    const at = node?.range ? toPosition(this.#lines, node.range[0]) : around
    this.#nodes += 1
    if (depth > nestingMax) throw new NestingError(at, `nested deeper than ${nestingMax} levels`)
    if (this.#nodes > nodesMax) throw new NestingError(at, `more than ${nodesMax} values`)
    const { isAlias, isMap, isScalar, isSeq } = this.#yaml
    if (isAlias(node)) return this.convert(this.#resolve(node, at), depth + 1, at)
    if (isMap(node)) {
      const entries = node.items.map((pair) =>
        this.#convertPair(pair as Pair<Node, Node>, depth, at),
      )
      return { kind: 'map', at, entries }
    }
    if (isSeq(node)) {
      const items = node.items.map((item) => this.convert(item as Node | null, depth + 1, at))
      return { kind: 'list', at, items }
    }
    return { kind: 'scalar', at, value: toScalar(isScalar(node) ? node.value : null) }
  }

  #convertPair(pair: Pair<Node, Node>, depth: number, around: Position): SourceEntry {
    const key = this.convert(pair.key, depth + 1, around)
    const name = key.kind === 'scalar' ? String(key.value) : '(a mapping or list)'
    return { key: name, at: key.at, value: this.convert(pair.value, depth + 1, key.at) }
  }

  #resolve(alias: Alias, at: Position): Node {
    const target = alias.resolve(this.#document)
    if (target === undefined) throw new NestingError(at, `alias "${alias.source}" has no anchor`)
    return target
  }
}

/** YAML knows dates and binary too, but only by tags that this schema has no use for. */
function toScalar(value: unknown): string | number | boolean | null {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
      return value
    case 'undefined':
      return null
    default:
      return value === null ? null : String(value)
  }
}
