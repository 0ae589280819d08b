/**
 * @module Checks a configuration tree against the schema: names every unknown key, every value of a
 * wrong kind and every feature that is not built yet, and goes on to the end.
 */
import { type Position, type Problem, quoteValue, unknownKeyMessage } from './explain.ts'
import { isSettingKey, KEYS, ROWS, SECTIONS, type SettingKey, type Values } from './schema.ts'
import type { Setting } from './setting.ts'
import { describeKind, type Environment, expandVariables, type SourceNode } from './source.ts'
import type { ValueIssue } from './values.ts'

export interface CheckedSettings {
  /** A value for every key: from the flags, else from the file, else the default. */
  readonly values: Values
  /** Keys whose value was given, with the place (none for a flag). */
  readonly given: ReadonlyMap<SettingKey, Place>
  readonly problems: readonly Problem[]
  /** The place of what is at this path inside the value of a key, or of the nearest thing around it. */
  readonly placeOf: (key: SettingKey, path?: ValueIssue['path']) => Place
}

export type Place = Pick<Problem, 'source' | 'position'>

export interface CheckInput {
  /** Name of the file as the operator wrote it. */
  readonly source: string
  /** `undefined` for an empty file or none. */
  readonly root: SourceNode | undefined
  /** Values of the flags by key, which win over the file. */
  readonly flags: ReadonlyMap<SettingKey, string>
  readonly environment: Environment
}

export function checkSettings(input: CheckInput): CheckedSettings {
  return new Checker(input).run()
}

class Checker {
  readonly #input: CheckInput
  readonly #problems: Problem[] = []
  readonly #values = new Map<SettingKey, unknown>()
  readonly #given = new Map<SettingKey, Place>()
  readonly #nodes = new Map<SettingKey, SourceNode>()

  constructor(input: CheckInput) {
    this.#input = input
  }

  run(): CheckedSettings {
    if (this.#input.root !== undefined) this.#readSection('', this.#input.root)
    for (const [key, text] of this.#input.flags) this.#readFlag(key, text)
    for (const key of KEYS) if (!this.#values.has(key)) this.#values.set(key, defaultOf(key))
    const values = Object.fromEntries(this.#values) as Values
    const placeOf = (key: SettingKey, path: ValueIssue['path'] = []) => this.#placeOf(key, path)
    return { values, given: this.#given, problems: this.#problems, placeOf }
  }

  #placeOf(key: SettingKey, path: ValueIssue['path']): Place {
    const given = this.#given.get(key)
    const node = this.#nodes.get(key)
    if (given?.position === undefined || node === undefined) return given ?? { source: key }
    return { source: given.source, position: locate(node, { path, message: '' }) }
  }

  #readSection(section: string, node: SourceNode): void {
    if (isNull(node)) return
    if (node.kind !== 'map') {
      const name = section === '' ? 'the file' : section
      this.#refuse(node.at, `${name}: expected a mapping of settings, got ${describeKind(node)}`)
      return
    }
    for (const entry of node.entries) {
      const key = section === '' ? entry.key : `${section}.${entry.key}`
      if (entry.key.includes('.')) this.#refuse(entry.at, dottedKeyMessage(key))
      else if (isSettingKey(key)) this.#readSetting(key, entry.value)
      else if (SECTIONS.has(key)) this.#readSection(key, entry.value)
      else this.#refuseUnknown(key, entry.at, entry.value)
    }
  }

  /** For an unknown section each of its settings gets an error with its own suggestion. */
  #refuseUnknown(key: string, at: Position, node: SourceNode): void {
    if (node.kind !== 'map' || node.entries.length === 0) {
      this.#refuse(at, unknownKeyMessage(key, node.kind === 'scalar' ? KEYS : KEYS_AND_SECTIONS))
      return
    }
    for (const entry of node.entries) {
      this.#refuseUnknown(`${key}.${entry.key}`, entry.at, entry.value)
    }
  }

  #readSetting(key: SettingKey, node: SourceNode): void {
    if (isNull(node)) return
    const row = ROWS[key]!
    this.#given.set(key, { source: this.#input.source, position: node.at })
    this.#nodes.set(key, node)
    const problemsBefore = this.#problems.length
    const raw = this.#toPlain(key, node, row.expandsEnvironment !== false)
    if (this.#problems.length > problemsBefore) return
    const parsed = row.type.parse(raw)
    if (!parsed.ok) {
      for (const issue of parsed.error) this.#refuseValue(key, row, node, issue)
    } else if (row.notYet?.refuses(parsed.value) === true) {
      this.#refuse(node.at, notYetMessage(key, row.notYet.accepts, node))
    } else {
      this.#values.set(key, parsed.value)
    }
  }

  #readFlag(key: SettingKey, text: string): void {
    const row = ROWS[key]!
    const source = `--${row.flag}`
    this.#given.set(key, { source })
    const parsed = row.type.parse(text)
    if (parsed.ok) this.#values.set(key, parsed.value)
    else for (const { message } of parsed.error) this.#problems.push({ source, message })
  }

  #refuseValue(key: string, row: Setting<unknown>, node: SourceNode, issue: ValueIssue): void {
    const steps = issue.path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    const name = (issue.isAboutKey === true ? steps.slice(0, -1) : steps).join('')
    const got =
      issue.path.length > 0
        ? ''
        : node.kind === 'scalar'
          ? `, got ${quoteValue(node.value, row.isSecret === true)}`
          : `, got ${describeKind(node)}`
    this.#refuse(locate(node, issue), `${key}${name}: ${issue.message}${got}`)
  }

  /** The value without positions, variables replaced. */
  #toPlain(key: string, node: SourceNode, expands: boolean): unknown {
    if (node.kind === 'list') return node.items.map((item) => this.#toPlain(key, item, expands))
    if (node.kind === 'map') {
      return Object.fromEntries(
        node.entries.map((entry) => [entry.key, this.#toPlain(key, entry.value, expands)]),
      )
    }
    if (!expands || typeof node.value !== 'string') return node.value
    const expanded = expandVariables(node.value, this.#input.environment)
    if (expanded.ok) return expanded.value
    this.#refuse(node.at, `${key}: ${expanded.error}`)
    return node.value
  }

  #refuse(position: Position, message: string): void {
    this.#problems.push({ source: this.#input.source, position, message })
  }
}

const KEYS_AND_SECTIONS: readonly string[] = [...KEYS, ...SECTIONS]

/** `path:` with nothing behind it is as good as absent. */
function isNull(node: SourceNode): boolean {
  return node.kind === 'scalar' && node.value === null
}

function defaultOf(key: SettingKey): unknown {
  const row = ROWS[key]!
  const parsed = row.type.parse(row.default)
  if (parsed.ok) return parsed.value
  throw new TypeError(`default of ${key}: ${parsed.error.map((issue) => issue.message).join()}`)
}

function dottedKeyMessage(key: string): string {
  const sections = key.split('.').map((word) => `"${word}:"`)
  return `unknown key "${key}"; a dot does not nest, write ${sections.join(' and below it ')}`
}

function notYetMessage(key: string, accepts: string, node: SourceNode): string {
  const given = node.kind === 'scalar' ? `"${key}: ${node.value}"` : key
  return `${given} is not available in this version; remove it or set it to ${accepts}`
}

/** Place of what an issue is about, or of the nearest thing around it that is in the file. */
function locate(node: SourceNode, issue: ValueIssue): Position {
  let current = node
  for (const [index, step] of issue.path.entries()) {
    if (current.kind === 'list') {
      const item = current.items[Number(step)]
      if (item === undefined) break
      current = item
    } else if (current.kind === 'map') {
      const entry = current.entries.find(({ key }) => key === step)
      if (entry === undefined) break
      if (issue.isAboutKey === true && index === issue.path.length - 1) return entry.at
      current = entry.value
    }
  }
  return current.at
}
