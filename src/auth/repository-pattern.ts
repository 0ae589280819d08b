/**
 * @module Patterns of repository names in rules and tokens: globs (`registry/glob.ts`) in which `${user}`
 * stands for the caller's own name. A pattern that starts with `/` names a path of the server
 * (`/metrics`, `/admin`).
 */
import { compileGlob, type Matcher } from '../registry/glob.ts'

/** Names that may stand in for `${user}`: one component of a repository name, nothing else. */
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/

/** Stands for the caller's name. */
export const userWord = `\${user}`

/** Compiled forms of one `${user}` pattern that are kept; then they are made anew. */
const compiledUsersMax = 1000

export class RepositoryPattern {
  readonly text: string
  readonly #fixed: Matcher | undefined
  readonly #byUser = new Map<string, Matcher>()

  constructor(text: string) {
    this.text = text
    this.#fixed = text.includes(userWord) ? undefined : compile(text)
  }

  /** Whether the pattern covers the name, for a caller of this name. */
  matches(name: string, user: string): boolean {
    // `**` covers repositories; a path of the server is only covered by being named.
    if (name.startsWith('/') !== this.text.startsWith('/')) return false
    if (this.#fixed !== undefined) return this.#fixed(name)
    if (!COMPONENT.test(user)) return false
    let compiled = this.#byUser.get(user)
    if (compiled === undefined) {
      if (this.#byUser.size >= compiledUsersMax) this.#byUser.clear()
      compiled = compile(this.text.replaceAll(userWord, user))
      this.#byUser.set(user, compiled)
    }
    return compiled(name)
  }
}

/** A glob that is none covers nothing: the configuration was checked, tokens come from outside. */
function compile(pattern: string): Matcher {
  const compiled = compileGlob(pattern)
  return compiled.ok ? compiled.value : () => false
}
