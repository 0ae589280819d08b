/**
 * @module Keeps other web sites out: a page that an operator has open must not be able to make the
 * operator's browser talk to this API. Programs send none of these headers and pass.
 */
import { AdminProblem } from './problem.ts'

interface Headers {
  header(name: string): string | undefined
}

/** Throws 403 for a request that a browser made on behalf of another site. */
export function refuseOtherSites(request: Headers): void {
  const site = request.header('sec-fetch-site')
  if (site !== undefined && site !== 'same-origin' && site !== 'none') throw crossSite()
  const origin = request.header('origin')
  if (origin === undefined) return
  const host = request.header('host')
  if (!URL.canParse(origin) || new URL(origin).host !== host?.toLowerCase()) throw crossSite()
}

function crossSite(): AdminProblem {
  return new AdminProblem(403, 'cross_site', 'the admin API takes no requests from other web sites')
}
