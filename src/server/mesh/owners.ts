/**
 * @module Which requests only one member of a mesh can answer, and which member that is: those for upload sessions,
 * whose ids begin with its number, and those for work of the admin API, whose rows say who does it.
 */
import { memberOfUpload } from '../../distribution/upload/id.ts'
import { parseRoute, type Route } from '../../http/router.ts'
import type { RouteKind } from '../../http/routes.ts'

/** What the rows say. Each is asked for ids from outside, which may be no id of anything. */
export interface WorkRows {
  /** Undefined: there is no such job. */
  job(id: string): object | undefined
  plan(id: string): object | undefined
  /** Undefined: no member has the lead. */
  lead(job: string): object | undefined
}

/** One request that is handed on. */
export interface Owned {
  readonly kind: RouteKind
  readonly member: number
  /** It can do without the member: what it would be told here is true, if less. */
  readonly isOptional: boolean
}

interface AdminRow {
  readonly methods: readonly string[]
  /** The group is the id of a row; what is written otherwise in a path is answered where it comes. */
  readonly path: RegExp
  readonly isOptional: boolean
  readonly rowOf: (rows: WorkRows, id: string) => object | undefined
}

const running = (row: object | undefined) =>
  row !== undefined && 'state' in row && row.state === 'running' ? row : undefined

const ADMIN: readonly AdminRow[] = [
  {
    methods: ['POST'],
    path: /^\/admin\/jobs\/([A-Za-z0-9_.-]{1,128})\/cancel$/,
    isOptional: false,
    rowOf: (rows, id) => running(rows.job(id)),
  },
  {
    // A plan's items are a file of the member that made it.
    methods: ['GET', 'HEAD'],
    path: /^\/admin\/gc\/plans\/([A-Za-z0-9_.-]{1,128})\/items$/,
    isOptional: false,
    rowOf: (rows, id) => rows.plan(id),
  },
  {
    methods: ['POST'],
    path: /^\/admin\/gc\/plans\/([A-Za-z0-9_.-]{1,128})\/apply$/,
    isOptional: false,
    rowOf: (rows, id) => rows.plan(id),
  },
  {
    methods: ['POST'],
    path: /^\/admin\/sync\/(?:trigger|cancel)\/([A-Za-z0-9_.-]{1,128})$/,
    isOptional: true,
    rowOf: (rows, source) => rows.lead(`sync:${source}`),
  },
  {
    methods: ['GET', 'HEAD'],
    path: /^\/admin\/sync\/status\/([A-Za-z0-9_.-]{1,128})(?:\/stream)?$/,
    isOptional: true,
    rowOf: (rows, source) => rows.lead(`sync:${source}`),
  },
]

/** Whether it opens an upload, or is a whole one: any node takes it. */
export function opensUpload(method: string, path: string): boolean {
  return method === 'POST' && path.includes('/uploads') && routeOf(path)?.kind === 'uploads'
}

/** The number of the member that a row names; undefined: it names none, as those of a single node. */
export function memberOf(row: object | undefined): number | undefined {
  return row !== undefined && 'member' in row && typeof row.member === 'number'
    ? row.member
    : undefined
}

/** Undefined: any node answers it. */
export function ownerOf(method: string, path: string, rows: WorkRows): Owned | undefined {
  const upload = uploadOwner(path)
  if (upload !== undefined) return { kind: 'upload', member: upload, isOptional: false }
  const found = adminRow(method, path)
  const member = found && memberOf(found.row.rowOf(rows, found.id))
  return member === undefined
    ? undefined
    : { kind: 'admin', member, isOptional: found!.row.isOptional }
}

/**
 * Whether `member` takes a request that another member hands on: one for an upload session of its own or for a new
 * one, for which the other has no room, or one for work whose row that other member has read; what has become of it
 * meanwhile the handler knows.
 */
export function takesHandedOn(method: string, path: string, member: number): boolean {
  if (uploadOwner(path) === member || opensUpload(method, path)) return true
  return adminRow(method, path) !== undefined
}

function uploadOwner(path: string): number | undefined {
  // Once a request: most paths end here.
  if (!path.includes('/uploads/')) return undefined
  const route = routeOf(path)
  return route?.kind === 'upload' ? memberOfUpload(route.id) : undefined
}

function routeOf(path: string): Route | undefined {
  try {
    return parseRoute(path)
  } catch {
    return undefined
  }
}

function adminRow(
  method: string,
  path: string,
): { readonly row: AdminRow; readonly id: string } | undefined {
  if (!path.startsWith('/admin/')) return undefined
  for (const row of ADMIN) {
    const found = row.methods.includes(method) ? row.path.exec(path) : null
    if (found !== null) return { row, id: found[1]! }
  }
  return undefined
}
