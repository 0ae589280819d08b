/**
 * @module What is wrong with a configuration, so that the operator can correct it: every problem together,
 * each with `file:line:column`, the reason and what to do. Nothing here reads a file.
 */

/** Place in a file, both counted from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** One thing to correct. Without a position it concerns `source` (a file or a flag) as a whole. */
export interface Problem {
  /** As the operator wrote it: `config.yaml`, `--addr`. */
  readonly source: string
  readonly position?: Position
  readonly message: string
}

/** Everything that is wrong with one configuration, in the order of the file. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    const sorted = [...problems].sort(byPosition)
    super(sorted.map(formatProblem).join('\n'))
    this.name = 'ConfigError'
    this.problems = sorted
  }
}

/** `config.yaml:12:5: unknown key …` */
export function formatProblem(problem: Problem): string {
  const { source, position, message } = problem
  const place = position === undefined ? '' : `:${position.line}:${position.column}`
  return `${source}${place}: ${message}`
}

/** Problems of a whole file or flag come first; equal places keep the order of their discovery. */
function byPosition(a: Problem, b: Problem): number {
  return (
    (a.position?.line ?? 0) - (b.position?.line ?? 0) ||
    (a.position?.column ?? 0) - (b.position?.column ?? 0)
  )
}

/** What a secret looks like wherever it would be printed. */
export const secretText = '***'

/** Longest piece of a value that an error repeats, characters. */
const quotedLengthMax = 80

/** A value for an error message, short and on one line; secrets stay secret. */
export function quoteValue(value: unknown, isSecret: boolean): string {
  if (isSecret) return secretText
  const quoted = String(JSON.stringify(value))
  return quoted.length > quotedLengthMax ? `${quoted.slice(0, quotedLengthMax)}…` : quoted
}

/** `unknown key "storge.path"; did you mean "storage.path"?` */
export function unknownKeyMessage(key: string, known: readonly string[]): string {
  const nearest = nearestKey(key, known)
  const advice = nearest === undefined ? 'remove it' : `did you mean "${nearest}"?`
  return `unknown key "${key}"; ${advice}`
}

/**
 * The known key that was most likely meant: a slip of a letter or two, the right last word in the
 * wrong section, or a slip of more letters in a long key. `undefined` when nothing is near enough
 * to be helpful.
 */
export function nearestKey(key: string, known: readonly string[]): string | undefined {
  const wanted = key.toLowerCase()
  let nearest: string | undefined
  let best = Number.POSITIVE_INFINITY
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate)
    if (distance >= best) continue
    best = distance
    nearest = candidate
  }
  if (best <= 2 && best < wanted.length) return nearest
  const misplaced = known.filter((candidate) => lastWord(candidate) === lastWord(wanted))
  if (misplaced.length === 1) return misplaced[0]
  return best <= wanted.length / 3 ? nearest : undefined
}

function lastWord(key: string): string {
  return key.slice(key.lastIndexOf('.') + 1)
}

/** Longest word that is compared, letters: every key is shorter, and comparing takes their product. */
const wordLengthMax = 128

/**
 * Levenshtein's: letters to insert, delete or replace; two neighbours swapped count as one. Infinity for words that
 * are too long to be keys.
 */
export function editDistance(a: string, b: string): number {
  if (Math.max(a.length, b.length) > wordLengthMax) return Number.POSITIVE_INFINITY
  let beforePrevious: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const isEqual = a[row - 1] === b[column - 1]
      let cost = Math.min(
        previous[column]! + 1,
        current[column - 1]! + 1,
        previous[column - 1]! + (isEqual ? 0 : 1),
      )
      const isSwap = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (isSwap && row > 1 && column > 1) cost = Math.min(cost, beforePrevious[column - 2]! + 1)
      current.push(cost)
    }
    beforePrevious = previous
    previous = current
  }
  return previous[b.length]!
}
