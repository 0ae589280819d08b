/**
 * @module Scopes: what a client asks a token for (`repository:team/app:pull,push`), and what a token
 * carries (distribution, docs/spec/auth/scope). What is not understood grants nothing.
 */
import { parseRepositoryName } from '../registry/name.ts'
import type { Action, Grant } from './caller.ts'

export interface Scope {
  readonly type: string
  readonly name: string
  readonly actions: readonly string[]
}

/** Scopes of one token: more would not fit into a header. */
const scopesMax = 64

/** Reads `scope` parameters, each a list separated by spaces; repeated names are joined. */
export function parseScopes(texts: readonly string[]): readonly Scope[] {
  const found = new Map<string, { type: string; name: string; actions: Set<string> }>()
  for (const text of texts.flatMap((one) => one.split(' '))) {
    // The name may have a colon of its own (a host and port).
    const [first, last] = [text.indexOf(':'), text.lastIndexOf(':')]
    if (first <= 0 || last <= first) continue
    const type = withoutClass(text.slice(0, first))
    const name = text.slice(first + 1, last)
    const key = `${type}:${name}`
    if (!found.has(key) && found.size >= scopesMax) continue
    const scope = found.get(key) ?? { type, name, actions: new Set<string>() }
    for (const action of text.slice(last + 1).split(',')) scope.actions.add(action)
    found.set(key, scope)
  }
  return [...found.values()].map((scope) => ({ ...scope, actions: [...scope.actions] }))
}

/** `repository(plugin)` is a repository. */
function withoutClass(type: string): string {
  const open = type.indexOf('(')
  return open > 0 && type.endsWith(')') ? type.slice(0, open) : type
}

/** What the rules and the caller's credentials allow. */
export interface Judge {
  may(action: Action, resource: string): boolean
  mayAnywhere(action: Action): boolean
}

const REPOSITORY_ACTIONS = ['pull', 'push', 'sign', 'delete', 'list'] as const

/** The part of what was asked for that is granted. Less than asked is no error. */
export function grantScopes(wanted: readonly Scope[], judge: Judge): readonly Scope[] {
  const granted: Scope[] = []
  for (const { type, name, actions } of wanted) {
    const isAll = actions.includes('*')
    if (type === 'repository' && parseRepositoryName(name).ok) {
      // Clients know no `list`: whoever asks to pull may list the tags, if the rules say so.
      const asked = new Set(actions.includes('pull') ? [...actions, 'list'] : actions)
      const given: string[] = REPOSITORY_ACTIONS.filter(
        (action) => (isAll || asked.has(action)) && judge.may(action, name),
      )
      // Nor `sign`: whoever asks to push may do that part of it.
      const asksToPush = isAll || asked.has('push')
      if (
        asksToPush &&
        !given.includes('sign') &&
        !given.includes('push') &&
        judge.may('sign', name)
      ) {
        given.push('sign')
      }
      if (isAll && judge.may('delete', name)) given.push('*')
      if (given.length > 0) granted.push({ type, name, actions: given })
    } else if (type === 'registry' && name === 'catalog' && isAll && judge.mayAnywhere('list')) {
      granted.push({ type, name, actions: ['*'] })
    } else if (type === 'registry' && name === 'admin' && isAll && judge.may('admin', '/admin')) {
      granted.push({ type, name, actions: ['*'] })
    }
  }
  return granted
}

/** What the `access` claim of a token allows. */
export function grantOfScopes(scopes: readonly Scope[]): Grant {
  const byRepository = new Map<string, ReadonlySet<string>>()
  const registry = new Set<string>()
  for (const { type, name, actions } of scopes) {
    // Somebody else's token may name a repository twice.
    if (type === 'repository') {
      byRepository.set(name, new Set([...(byRepository.get(name) ?? []), ...actions]))
    }
    if (type === 'registry' && actions.includes('*')) registry.add(name)
  }
  return {
    allows: (action, resource) => {
      if (resource === undefined) return registry.has('catalog')
      if (resource.startsWith('/')) return registry.has('admin')
      const actions = byRepository.get(resource)
      if (actions === undefined || action === 'admin') return false
      if (action === 'delete') return actions.has('delete')
      if (action === 'sign') return actions.has('sign') || actions.has('push')
      return actions.has(action) || (action === 'list' && actions.has('pull'))
    },
    describe: () =>
      [...byRepository].map(([name, actions]) => ({
        repositories: [name],
        actions: REPOSITORY_ACTIONS.filter(
          (action) => actions.has(action) || (action === 'list' && actions.has('pull')),
        ),
      })),
  }
}
