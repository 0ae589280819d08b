/**
 * @module What an endpoint needs of whoever asks, as data in the endpoint's own row: what names nothing
 * needs `admin`. Judged before anything is looked up, so that a refusal never tells what is there.
 */
import type { Asker } from '../auth/asker.ts'
import type { Action } from '../auth/caller.ts'

/** One of some actions on the repository that a part of the request names. */
export interface RepositoryNeed {
  readonly anyOf: readonly RepositoryAction[]
  /** Where it stands; absent in the request: every repository is meant, which needs `admin`. */
  readonly at: 'path' | 'query' | 'body' | 'body.from' | 'body.to'
}

export type RepositoryAction = Exclude<Action, 'admin'>

/**
 * `admin`: on the server as a whole. `any`: any right on anything; the answer leaves out what the
 * asker may not see. `secret`: no login, but a secret of its own, which the row's `admit` judges. `none`: no
 * right at all. A list: all of these.
 */
export type EndpointNeed = 'admin' | 'any' | 'secret' | 'none' | readonly RepositoryNeed[]

/** To know of a repository and what is in it. */
export const SEES = ['list', 'pull'] as const

export const seesIt: EndpointNeed = [{ anyOf: SEES, at: 'path' }]

const ANY: readonly Action[] = ['list', 'pull', 'push', 'delete']

/** Whether the asker may know of the repository. */
export function sees(asker: Asker, repository: string): boolean {
  return SEES.some((action) => asker.may(action, repository))
}

/** Whether the row looks at no right of the asker. */
export function isForAll(need: EndpointNeed): need is 'secret' | 'none' {
  return need === 'secret' || need === 'none'
}

/** Before the request's body is read: whoever can have no right at all is refused here. */
export function requireAtFirst(asker: Asker, need: EndpointNeed): void {
  if (isForAll(need)) return
  if (need === 'admin') {
    if (!asker.isAdmin) asker.refuse('admin', undefined)
    return
  }
  const all = need === 'any' ? [ANY] : need.map(({ anyOf }) => anyOf)
  if (!all.every((actions) => asker.mayAnywhere(actions))) asker.refuse('admin', undefined)
}

interface Input {
  readonly params: unknown
  readonly query: unknown
  readonly body: unknown
}

/** With the request as it was understood. Throws what the gate says. */
export function requireNeed(asker: Asker, need: EndpointNeed, input: Input): void {
  if (typeof need === 'string') return
  for (const { anyOf, at } of need) requireOn(asker, anyOf, repositoryAt(input, at))
}

/** One of these actions on this repository; undefined: on every one, which needs `admin`. */
export function requireOn(
  asker: Asker,
  anyOf: readonly RepositoryAction[],
  repository: string | undefined,
): void {
  if (asker.isAdmin) return
  if (repository === undefined) asker.refuse('admin', undefined)
  else if (!anyOf.some((action) => asker.may(action, repository))) {
    asker.refuse(anyOf[0]!, repository)
  }
}

function repositoryAt(
  { params, query, body }: Input,
  at: RepositoryNeed['at'],
): string | undefined {
  const part = {
    path: params,
    query,
    body,
    'body.from': field(body, 'from'),
    'body.to': field(body, 'to'),
  }
  const name = field(part[at], 'repository')
  return typeof name === 'string' ? name : undefined
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined
}

/** For the table of endpoints. */
export function needText(need: EndpointNeed): string {
  if (need === 'secret') return 'a secret of its own'
  if (need === 'none') return 'nothing'
  if (typeof need === 'string') return need === 'any' ? 'any right; filtered' : 'admin'
  return need
    .map(({ anyOf, at }) => `${anyOf.join(' or ')}${at.includes('.') ? ` (${at.slice(5)})` : ''}`)
    .join(', ')
}
