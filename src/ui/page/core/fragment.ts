/**
 * @module Addresses as fragments: `#/` is home, `#/-/activity?by=ci` a screen, `#/team/app` a repository,
 * `#/team/app:v1` and `#/team/app@sha256:…` an image. A name never begins with `-`. No proxy and no
 * escaped slash can break them.
 */
export interface Route {
  /** `home`, `repository`, `image`, or the name of a screen. */
  readonly screen: string
  readonly repository: string
  /** Tag or digest of an image. */
  readonly reference: string
  readonly query: URLSearchParams
}

export function parseFragment(text: string): Route {
  const [raw = '', search = ''] = text.replace(/^#\/?/, '').split(/\?(.*)/s)
  const path = decoded(raw)
  const query = new URLSearchParams(search)
  const none = { repository: '', reference: '', query }
  if (path === '') return { ...none, screen: 'home' }
  if (path.startsWith('-/')) return { ...none, screen: path.slice(2) }
  const at = path.indexOf('@')
  const colon = path.indexOf(':', path.lastIndexOf('/') + 1)
  const end = at >= 0 ? at : colon
  if (end < 0) return { ...none, screen: 'repository', repository: path }
  const [repository, reference] = [path.slice(0, end), path.slice(end + 1)]
  return { screen: 'image', repository, reference, query }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export type Fields = Readonly<Record<string, string | undefined>>

export function withQuery(path: string, fields: Fields): string {
  const query = new URLSearchParams()
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined && value !== '') query.set(key, value)
  }
  const text = query.toString()
  return `#/${path}${text === '' ? '' : `?${text}`}`
}

export const toScreen = (screen: string, fields: Fields = {}) =>
  withQuery(screen === 'home' ? '' : `-/${screen}`, fields)

export const toRepository = (repository: string, fields: Fields = {}) =>
  withQuery(repository, fields)

export function toImage(repository: string, reference: string, fields: Fields = {}): string {
  const mark = reference.includes(':') ? '@' : ':'
  return withQuery(`${repository}${mark}${reference}`, fields)
}
