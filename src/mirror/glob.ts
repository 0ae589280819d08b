/**
 * @module Globs over repository names and tags: `*` stands for anything but a slash, `**` for
 * anything, `?` for one character.
 */

/** Compiled once; names are short, and the expression has no nested quantifiers. */
export function globToRegExp(glob: string): RegExp {
  const source = glob.replace(/\*\*|\*|\?|[^*?]+/g, (part) => {
    if (part === '**') return '.*'
    if (part === '*') return '[^/]*'
    if (part === '?') return '[^/]'
    return part.replace(/[.\\+^$()|[\]{}]/g, '\\$&')
  })
  return new RegExp(`^${source}$`, 's')
}

export class GlobSet {
  readonly #globs: readonly RegExp[]

  constructor(globs: readonly string[]) {
    this.#globs = globs.map(globToRegExp)
  }

  get isEmpty(): boolean {
    return this.#globs.length === 0
  }

  matches(text: string): boolean {
    return this.#globs.some((glob) => glob.test(text))
  }
}
