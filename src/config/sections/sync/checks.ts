/**
 * @module What contradicts in the sources of a synchronisation: keys of one source, and two sources. A
 * key that could never do anything is refused as well, because an operator counts on it.
 */

import { isLiteral, literalComponents } from '../../../registry/literal.ts'
import { parseRepositoryName } from '../../../registry/name.ts'
import type { ValueIssue } from '../../values.ts'
import type { RawSyncSource } from './keys.ts'

/** Types whose repositories are all in an organization of one component. */
const OWNED: ReadonlySet<string> = new Set(['quay', 'harbor', 'dockerhub'])

/** Types that list the repositories of a named organization alone. */
const LISTED_BY_ORGANIZATION: ReadonlySet<string> = new Set(['quay', 'dockerhub'])

/** A name without a slash beside exactly one organization is one of its own. */
export function absolutePattern(pattern: string, organizations: readonly string[]): string {
  const [only] = organizations
  const isRelative = organizations.length === 1 && only !== '*' && !pattern.includes('/')
  return isRelative ? `${only}/${pattern}` : pattern
}

/** What is wrong between the keys of one source. */
export function sourceIssues(it: RawSyncSource): readonly ValueIssue[] {
  return [
    ...credentialIssues(it),
    ...selectionIssues(it),
    ...repositoryIssues(it),
    ...tagIssues(it),
    ...timeIssues(it),
  ]
}

function issue(path: ValueIssue['path'], message: string): ValueIssue {
  return { path, message }
}

function credentialIssues(it: RawSyncSource): readonly ValueIssue[] {
  const found: ValueIssue[] = []
  const pair = (key: 'token' | 'robot_token' | 'password', fileKey: keyof RawSyncSource) => {
    if (it[key] !== undefined && it[fileKey] !== undefined) {
      found.push(issue([fileKey], `${key} says it already; keep one`))
    }
    return it[key] !== undefined ? key : it[fileKey] !== undefined ? fileKey : undefined
  }
  const account = (nameKey: 'robot_account' | 'username', secretKey: string | undefined) => {
    const isNamed = it[nameKey] !== undefined
    const secret = nameKey === 'username' ? 'password' : 'robot_token'
    if (isNamed && secretKey === undefined) {
      found.push(issue([nameKey], `needs ${secret} or ${secret}_file`))
    }
    if (!isNamed && secretKey !== undefined) found.push(issue([secretKey], `needs ${nameKey}`))
    return isNamed ? nameKey : undefined
  }
  const token = pair('token', 'token_file')
  const robot = account('robot_account', pair('robot_token', 'robot_token_file'))
  const user = account('username', pair('password', 'password_file'))
  if (robot !== undefined && user !== undefined) {
    found.push(issue([user], 'contradicts robot_account; keep one of them'))
  }
  // Quay alone has an API that takes no account, and a registry that takes no token as it is.
  const other = robot ?? user
  if (token !== undefined && other !== undefined && it.type !== 'quay') {
    found.push(issue([token], `contradicts ${other}: type ${it.type} has one credential`))
  }
  return found
}

function selectionIssues(it: RawSyncSource): readonly ValueIssue[] {
  const found: ValueIssue[] = []
  if (it.organizations.length === 0 && it.repositories.length === 0) {
    const message =
      'expected organizations or repositories; organizations: ["*"] copies a whole registry'
    found.push(issue([], message))
  }
  for (const [index, organization] of it.organizations.entries()) {
    const path = ['organizations', index]
    if (organization === '*' && it.type === 'quay') {
      found.push(issue(path, 'all organizations of a Quay come in a later version; name them'))
    } else if (organization === '*' && it.type === 'dockerhub') {
      found.push(issue(path, 'Docker Hub lists no organizations; name them'))
    } else if (OWNED.has(it.type) && organization.includes('/')) {
      found.push(issue(path, `an organization of type ${it.type} has no slash`))
    }
  }
  if (it.api !== undefined && it.type !== 'dockerhub') {
    found.push(issue(['api'], `only type dockerhub has it, this is ${it.type}`))
  }
  if (it.prune.unselected && !it.prune.enabled) {
    found.push(issue(['prune', 'unselected'], 'needs prune.enabled'))
  }
  return found
}

function repositoryIssues(it: RawSyncSource): readonly ValueIssue[] {
  return it.repositories.flatMap((one, index) => {
    const message = patternProblem(absolutePattern(one, it.organizations), it.type)
    return message === undefined ? [] : [issue(['repositories', index], message)]
  })
}

function patternProblem(pattern: string, kind: RawSyncSource['type']): string | undefined {
  if (isLiteral(pattern) && !parseRepositoryName(pattern).ok) {
    return 'expected a repository such as "myorg/app", in lower case, or a pattern'
  }
  const isOpen = literalComponents(pattern).length === 0
  if (LISTED_BY_ORGANIZATION.has(kind) && isOpen) {
    return `type ${kind} lists an organization at a time; begin with one, such as "myorg/*"`
  }
  return OWNED.has(kind) && isLiteral(pattern) && !pattern.includes('/')
    ? 'has no organization; write it before the name, such as "myorg/app"'
    : undefined
}

function tagIssues({ tags, include_tags, exclude_tags }: RawSyncSource): readonly ValueIssue[] {
  const found: ValueIssue[] = []
  if (tags.include !== undefined && include_tags !== undefined) {
    found.push(issue(['include_tags'], 'tags.include says it already; keep one'))
  }
  if (tags.exclude !== undefined && exclude_tags !== undefined) {
    found.push(issue(['exclude_tags'], 'tags.exclude says it already; keep one'))
  }
  if (tags.newest > 0 && tags.min > tags.newest) {
    found.push(issue(['tags', 'min'], `is more than tags.newest (${tags.newest}) ever selects`))
  }
  return found
}

function timeIssues(it: RawSyncSource): readonly ValueIssue[] {
  const found: ValueIssue[] = []
  if (it.mode === 'once' || it.mode === 'manual') {
    const refuse = (key: string) => {
      found.push(issue([key], `is for mode continuous, and mode is ${it.mode}`))
    }
    if (it.schedule !== undefined) refuse('schedule')
    if (it.interval !== undefined) refuse('interval')
    if (it.windows.length > 0) refuse('windows')
  }
  if (it.timezone !== undefined && it.schedule === undefined && it.windows.length === 0) {
    found.push(issue(['timezone'], 'needs schedule or windows'))
  }
  return found
}

interface Named {
  readonly name: string
  readonly previously: string | undefined
}

/** What is wrong between sources. */
export function sourcesIssues(sources: readonly Named[]): readonly ValueIssue[] {
  const found: ValueIssue[] = []
  const names = new Set<string>()
  const takenOver = new Set<string>()
  for (const [index, { name }] of sources.entries()) {
    if (names.has(name)) found.push(issue([index, 'name'], `another source has the name ${name}`))
    names.add(name)
  }
  for (const [index, { previously }] of sources.entries()) {
    if (previously === undefined) continue
    if (names.has(previously)) {
      found.push(issue([index, 'previously'], `the source ${previously} is still there`))
    } else if (takenOver.has(previously)) {
      found.push(issue([index, 'previously'], `another source goes on with ${previously}`))
    }
    takenOver.add(previously)
  }
  return found
}
