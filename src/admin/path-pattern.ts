/**
 * @module Paths of the admin API: `/admin/repositories/{repository}/tags/{tag}`. A parameter is one
 * segment, percent-encoded where it holds a slash, as generated clients send it. `{repository}` may
 * also come with its slashes as they are, as people type it; where both readings fit, the one by
 * segments wins, so a name that looks like a path can always be reached by encoding it.
 */

export interface PathPattern {
  /** Characters that are not parameters: the more, the more exact. */
  readonly literals: number
  /** Values by name, still percent-encoded; undefined when the path does not fit. */
  match(path: string, takesSlashes: boolean): Readonly<Record<string, string>> | undefined
}

export function pathPattern(pattern: string): PathPattern {
  const names = partsOf(pattern).filter((_, index) => index % 2 === 1)
  const bySegment = compile(pattern, () => '([^/]+)')
  const withSlashes = compile(pattern, (name) => (name === 'repository' ? '(.+)' : '([^/]+)'))
  return {
    literals: pattern.length - names.reduce((sum, name) => sum + name.length + 2, 0),
    match(path, takesSlashes) {
      const found = (takesSlashes ? withSlashes : bySegment).exec(path)
      if (found === null) return undefined
      return Object.fromEntries(names.map((name, index) => [name, found[index + 1]!]))
    },
  }
}

/** Words and names in turn: a word, a name in braces, a word … */
function partsOf(pattern: string): string[] {
  return pattern.split(/[{}]/)
}

function compile(pattern: string, group: (name: string) => string): RegExp {
  const source = partsOf(pattern)
    .map((part, index) =>
      index % 2 === 1 ? group(part) : part.replace(/[.*+?^$()|[\]\\]/g, '\\$&'),
    )
    .join('')
  return new RegExp(`^${source}$`)
}

/** Decodes every value once; undefined when one is not valid percent-encoding. */
export function decodeParams(
  raw: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> | undefined {
  try {
    return Object.fromEntries(
      Object.entries(raw).map(([name, value]) => [name, decodeURIComponent(value)]),
    )
  } catch {
    return undefined
  }
}
