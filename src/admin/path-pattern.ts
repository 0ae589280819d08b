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
  const names = [...pattern.matchAll(/\{([^{}]+)\}/g)].map(([, name]) => name!)
  const bySegment = compile(pattern, () => '([^/]+)')
  const withSlashes = compile(pattern, (name) => (name === 'repository' ? '(.+)' : '([^/]+)'))
  return {
    literals: pattern.replaceAll(/\{[^{}]+\}/g, '').length,
    match(path, takesSlashes) {
      const found = (takesSlashes ? withSlashes : bySegment).exec(path)
      if (found === null) return undefined
      return Object.fromEntries(names.map((name, index) => [name, found[index + 1]!]))
    },
  }
}

function compile(pattern: string, group: (name: string) => string): RegExp {
  const source = pattern
    .split(/(\{[^{}]+\})/)
    .map((part) => {
      const name = /^\{(\w+)\}$/.exec(part)?.[1]
      return name === undefined ? part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&') : group(name)
    })
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
