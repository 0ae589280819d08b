/**
 * @module Generated blocks of README.md: `<!-- begin:NAME -->` to `<!-- end:NAME -->`. The tidy test
 * compares them with the code; run with UPDATE_DOCS=1 it writes them.
 */
import { auditEndpoints } from '../../src/admin/audit-endpoints.ts'
import type { Endpoint } from '../../src/admin/endpoint.ts'
import { eventEndpoints } from '../../src/admin/event-endpoints.ts'
import { gcEndpoints } from '../../src/admin/gc-endpoints.ts'
import { imageEndpoints } from '../../src/admin/image-endpoints.ts'
import { jobEndpoints } from '../../src/admin/job-endpoints.ts'
import { mirrorEndpoints } from '../../src/admin/mirror-endpoints.ts'
import { needText } from '../../src/admin/needs.ts'
import { pinEndpoints } from '../../src/admin/pin-endpoints.ts'
import { repositoryEndpoints } from '../../src/admin/repository-endpoints.ts'
import { serviceEndpoints } from '../../src/admin/service-endpoints.ts'
import { ERRORS } from '../../src/registry/errors.ts'
import { settingsMarkdown } from './settings-markdown.ts'

/** What each block must contain, by name. */
export const README_BLOCKS: Readonly<Record<string, () => string>> = {
  config: settingsMarkdown,
  errors: errorsMarkdown,
  admin: adminMarkdown,
}

/** The text between the markers, or `undefined` where README has no such block. */
export function readBlock(readme: string, name: string): string | undefined {
  const { begin, end } = markers(name)
  const from = readme.indexOf(begin)
  const to = readme.indexOf(end)
  if (from === -1 || to < from) return undefined
  return readme.slice(from + begin.length, to).trim()
}

/** README with the block's text replaced; throws where the markers are missing. */
export function replaceBlock(readme: string, name: string, body: string): string {
  const { begin, end } = markers(name)
  const from = readme.indexOf(begin)
  const to = readme.indexOf(end)
  if (from === -1 || to < from) throw new Error(`README.md needs ${begin} and ${end}`)
  return `${readme.slice(0, from)}${begin}\n\n${body}\n\n${readme.slice(to)}`
}

function markers(name: string): { readonly begin: string; readonly end: string } {
  return { begin: `<!-- begin:${name} -->`, end: `<!-- end:${name} -->` }
}

function errorsMarkdown(): string {
  const rows = Object.entries(ERRORS).map(
    ([code, { status, message }]) => `| \`${code}\` | ${status} | ${message} |`,
  )
  return ['| Code | Usual status | Message |', '| --- | --- | --- |', ...rows].join('\n')
}

/** Stands for everything that endpoints are given: the table only reads what they say of themselves. */
const nothing: never = new Proxy(() => nothing, { get: () => nothing }) as never

/** One line for each operation of the admin API. */
function adminMarkdown(): string {
  const endpoints: Endpoint[] = [
    ...serviceEndpoints(nothing),
    ...gcEndpoints(nothing),
    ...jobEndpoints(nothing, nothing),
    ...repositoryEndpoints(nothing),
    ...imageEndpoints(nothing),
    ...eventEndpoints(nothing),
    ...pinEndpoints(nothing),
    ...auditEndpoints({ file: undefined, flush: nothing }),
    ...mirrorEndpoints({ mirrors: undefined, isTls: false, onWarmed: nothing }),
  ]
  const rows = endpoints.map(
    ({ method, path, need, summary }) =>
      `| ${method} | \`${path.replace(/\{(\w+)\}/g, '<$1>')}\` | ${needText(need)} | ${summary.replaceAll('|', '\\|')} |`,
  )
  return ['| Method | Path | Needs | |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
