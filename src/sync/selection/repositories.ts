/**
 * @module Which repositories of a source are copied, by upstream's names: those of its organizations and
 * those that its patterns fit, without those that an exclusion fits. And what has to be listed to find them.
 */
import type { SyncSourceConfig } from '../../config/config.ts'
import { isLiteral, literalComponents } from '../../registry/literal.ts'
import { type Pattern, parsePattern } from '../../registry/pattern.ts'

export type RepositoryFilter = Pick<
  SyncSourceConfig,
  'organizations' | 'repositories' | 'excludeRepositories'
>

/** What the type of the source has to list. */
export interface Listing {
  /** Repositories that need no list: they are named in full. */
  readonly named: readonly string[]
  /** Beginnings of names, whole components, of which all repositories are listed. */
  readonly organizations: readonly string[]
  /** True: everything is listed, whatever the organizations are. */
  readonly isWhole: boolean
}

/** Why a repository is copied or is not. */
export interface RepositoryVerdict {
  readonly isSelected: boolean
  readonly rule: 'organization' | 'repository' | 'excluded' | 'not-selected'
  /** The organization or pattern that decided. */
  readonly by?: string
}

interface Named {
  readonly text: string
  readonly fits: Pattern
}

const NOT_SELECTED: RepositoryVerdict = { isSelected: false, rule: 'not-selected' }

export class RepositorySelection {
  readonly listing: Listing
  readonly #organizations: readonly string[]
  readonly #repositories: readonly Named[]
  readonly #excluded: readonly Named[]
  /** Those that are named in full, so that many of them cost no more than one. */
  readonly #named: ReadonlySet<string>

  constructor({ organizations, repositories, excludeRepositories }: RepositoryFilter) {
    const patterns = repositories.filter((one) => !isLiteral(one))
    this.#organizations = organizations
    this.#repositories = compilePatterns(patterns)
    this.#excluded = compilePatterns(excludeRepositories)
    this.#named = new Set(repositories.filter(isLiteral))
    const heads = patterns.map((one) => literalComponents(one).join('/'))
    const isWhole = organizations.includes('*') || heads.includes('')
    const listed = isWhole ? [] : withoutInner([...organizations, ...heads])
    this.listing = {
      named: [...this.#named].filter(
        (name) => !isWhole && !listed.some((head) => isBelow(name, head)) && this.isSelected(name),
      ),
      organizations: listed,
      isWhole,
    }
  }

  isSelected(name: string): boolean {
    return this.judge(name).isSelected
  }

  judge(name: string): RepositoryVerdict {
    const included = this.#include(name)
    if (!included.isSelected) return included
    const excluded = this.#excluded.find(({ fits }) => fits(name))
    return excluded === undefined
      ? included
      : { isSelected: false, rule: 'excluded', by: excluded.text }
  }

  #include(name: string): RepositoryVerdict {
    const organization = this.#organizations.find((one) => one === '*' || isBelow(name, one))
    if (organization !== undefined) {
      return { isSelected: true, rule: 'organization', by: organization }
    }
    if (this.#named.has(name)) return { isSelected: true, rule: 'repository', by: name }
    const pattern = this.#repositories.find(({ fits }) => fits(name))
    return pattern === undefined
      ? NOT_SELECTED
      : { isSelected: true, rule: 'repository', by: pattern.text }
  }
}

/** Patterns with their text, to say which one has decided. Throws on one that was not checked before. */
export function compilePatterns(texts: readonly string[]): readonly Named[] {
  return texts.map((text) => {
    const parsed = parsePattern(text)
    if (!parsed.ok) throw new TypeError(`pattern ${text}: ${parsed.error}`)
    return { text, fits: parsed.value }
  })
}

/** Whether a name is in an organization: `team` has `team/app`, not `teams/app`. */
function isBelow(name: string, organization: string): boolean {
  return name.startsWith(`${organization}/`)
}

/** Each once, and none that is inside another one. */
function withoutInner(organizations: readonly string[]): readonly string[] {
  const all = [...new Set(organizations)]
  return all.filter((one) => !all.some((other) => isBelow(one, other)))
}
