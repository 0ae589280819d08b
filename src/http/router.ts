/**
 * @module From a raw path to a route. Paths are matched from the right, because repository names
 * may hold components such as `blobs` or `tags`; they are decoded once and an escaped slash is
 * refused. The paths that are fixed, and which methods a route has, are in the
 * table (`routes.ts`).
 */
import { RegistryError } from '../registry/errors.ts'
import { parseRepositoryName, type RepositoryName } from '../registry/name.ts'
import { unwrap } from '../registry/result.ts'
import { type FixedKind, routeRows } from './routes.ts'

export type Route =
  | { readonly kind: FixedKind | 'admin' }
  | { readonly kind: 'manifest'; readonly repository: RepositoryName; readonly reference: string }
  | { readonly kind: 'blob'; readonly repository: RepositoryName; readonly digest: string }
  | { readonly kind: 'uploads' | 'tags'; readonly repository: RepositoryName }
  | { readonly kind: 'upload'; readonly repository: RepositoryName; readonly id: string }
  | { readonly kind: 'referrers'; readonly repository: RepositoryName; readonly digest: string }
  | { readonly kind: 'repositoryExtensions'; readonly repository: RepositoryName }

const ADMIN: Route = { kind: 'admin' }

/** What is below it are files of the pages. */
export const uiBelow = '/ui/'
const UI: Route = { kind: 'ui' }

const FIXED: ReadonlyMap<string, Route> = new Map(
  [...routeRows].flatMap(([kind, { path, also = [], of }]) => {
    if (kind === 'admin' || of === 'repository') return []
    const route: Route = { kind: kind as FixedKind }
    return [path, ...also].map((one) => [one, route] as const)
  }),
)

/** The route of a path; undefined when there is none (404). Throws NAME_INVALID. */
export function parseRoute(path: string): Route | undefined {
  const fixed = FIXED.get(path)
  if (fixed !== undefined) return fixed
  if (path.startsWith('/admin/')) return ADMIN
  if (path.startsWith(uiBelow)) return UI
  if (!path.startsWith('/v2/')) return undefined
  const rest = path.includes('%') ? decodeOnce(path.slice(4)) : path.slice(4)
  const last = rest.lastIndexOf('/')
  const previous = rest.lastIndexOf('/', last - 1)
  if (last <= 0) return undefined
  const tail = rest.slice(last + 1)
  const parent = rest.slice(previous + 1, last)
  const name = (end: number) => unwrap(parseRepositoryName(rest.slice(0, Math.max(0, end))))
  if (parent === 'manifests' && tail !== '') {
    return { kind: 'manifest', repository: name(previous), reference: tail }
  }
  if (parent === 'blobs') {
    if (tail === 'uploads') return { kind: 'uploads', repository: name(previous) }
    return tail === '' ? undefined : { kind: 'blob', repository: name(previous), digest: tail }
  }
  if (parent === 'uploads') {
    const before = rest.lastIndexOf('/', previous - 1)
    if (rest.slice(before + 1, previous) !== 'blobs') return undefined
    if (tail === '') return { kind: 'uploads', repository: name(before) }
    return { kind: 'upload', repository: name(before), id: tail }
  }
  if (parent === 'tags' && tail === 'list') return { kind: 'tags', repository: name(previous) }
  if (parent === 'referrers' && tail !== '') {
    return { kind: 'referrers', repository: name(previous), digest: tail }
  }
  if (rest.endsWith('/_oci/ext/discover')) {
    const end = rest.length - '/_oci/ext/discover'.length
    return { kind: 'repositoryExtensions', repository: name(end) }
  }
  return undefined
}

function decodeOnce(text: string): string {
  if (/%2f/i.test(text)) throw badPath('an escaped slash is not allowed in a path')
  try {
    return decodeURIComponent(text)
  } catch {
    throw badPath('the path is not valid percent-encoding')
  }
}

function badPath(message: string): RegistryError {
  return new RegistryError('NAME_INVALID', { message })
}
