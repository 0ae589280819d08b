/**
 * @module A configuration file as a plain tree with positions, free of the YAML library: what
 * `load.ts` produces and `check.ts` walks. Variables of the environment are put in here.
 */
import { fail, ok, type Result } from '../registry/result.ts'
import type { Position } from './explain.ts'

export type SourceNode = SourceScalar | SourceMap | SourceList

export interface SourceScalar {
  readonly kind: 'scalar'
  readonly at: Position
  readonly value: string | number | boolean | null
}

export interface SourceMap {
  readonly kind: 'map'
  readonly at: Position
  readonly entries: readonly SourceEntry[]
}

export interface SourceEntry {
  readonly key: string
  readonly at: Position
  readonly value: SourceNode
}

export interface SourceList {
  readonly kind: 'list'
  readonly at: Position
  readonly items: readonly SourceNode[]
}

export type Environment = Readonly<Record<string, string | undefined>>

/** What a plain value is called in an error. */
export function describeKind(node: SourceNode): string {
  if (node.kind === 'map') return 'a mapping'
  return node.kind === 'list' ? 'a list' : JSON.stringify(node.value)
}

/** `$${` is a literal `${`; a `$` anywhere else is just a `$`. */
const REFERENCE = /\$\$\{|\$\{([^}]*)(\}?)/g
const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const BARE_REFERENCE = /^\$[A-Za-z_][A-Za-z0-9_]*$/

/**
 * The text with every `${NAME}` replaced, once: what a variable contains is never expanded again.
 * Refuses variables that are not set, and `$NAME` as a whole value, which other programs expand.
 */
export function expandVariables(text: string, environment: Environment): Result<string, string> {
  if (BARE_REFERENCE.test(text)) {
    return fail(`${text} is not replaced; write \${${text.slice(1)}}`)
  }
  let problem: string | undefined
  const expanded = text.replace(REFERENCE, (match, name: string | undefined, close: string) => {
    if (name === undefined) return '${'
    if (close === '' || !VARIABLE_NAME.test(name)) {
      problem ??= `a reference must look like \${NAME}; write $\${ for the two characters themselves`
      return match
    }
    const value = environment[name]
    if (value === undefined) problem ??= `environment variable ${name} is not set`
    return value ?? match
  })
  return problem === undefined ? ok(expanded) : fail(problem)
}
