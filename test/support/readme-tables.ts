/**
 * @module Generated blocks of README.md and of the pages in `docs/`: `<!-- begin:NAME -->` to
 * `<!-- end:NAME -->`. The tidy test compares them with the code; run with UPDATE_DOCS=1 it writes
 * them.
 */
import { readFileSync } from 'node:fs'
import { auditEndpoints } from '../../src/admin/audit-endpoints.ts'
import { copyEndpoints } from '../../src/admin/copy-endpoints.ts'
import type { Endpoint } from '../../src/admin/endpoint.ts'
import { eventEndpoints } from '../../src/admin/events/endpoints.ts'
import { gcEndpoints } from '../../src/admin/gc-endpoints.ts'
import { imageEndpoints } from '../../src/admin/image-endpoints.ts'
import { jobEndpoints } from '../../src/admin/job-endpoints.ts'
import { meshEndpoints } from '../../src/admin/mesh-endpoints.ts'
import { mirrorEndpoints } from '../../src/admin/mirror-endpoints.ts'
import { needText } from '../../src/admin/needs.ts'
import { pinEndpoints } from '../../src/admin/pin-endpoints.ts'
import { repositoryEndpoints } from '../../src/admin/repository-endpoints.ts'
import { serviceEndpoints } from '../../src/admin/service-endpoints.ts'
import { signatureEndpoints } from '../../src/admin/signatures/endpoints.ts'
import { syncEndpoints } from '../../src/admin/sync-endpoints.ts'
import { syncPlanEndpoints } from '../../src/admin/sync-plan-endpoints.ts'
import { secretFolder } from '../../src/auth/secret-file.ts'
import { plansFolder } from '../../src/gc/plan/plans.ts'
import { metadataFolder } from '../../src/metadata/lmdb/folder.ts'
import { DATABASES } from '../../src/metadata/schema.ts'
import {
  declareCopyMetrics,
  declareMeshMetrics,
  declarePlacementMetrics,
} from '../../src/observability/metrics/mesh.ts'
import { Metrics } from '../../src/observability/metrics/metrics.ts'
import { declareMirrorMetrics } from '../../src/observability/metrics/mirrors.ts'
import {
  declareSignatureMetrics,
  SignatureCounters,
} from '../../src/observability/metrics/signatures.ts'
import { declareSyncMetrics, SyncCounters } from '../../src/observability/metrics/sync.ts'
import { ERRORS } from '../../src/registry/error-kinds.ts'
import type { ErrorRow } from '../../src/registry/error-row.ts'
import { tailFolder } from '../../src/storage/open.ts'
import { commandsMarkdown } from './commands-markdown.ts'
import { settingsMarkdown } from './settings-markdown.ts'

/** One generated block, the page that has it, and what it must contain. */
export interface Block {
  readonly name: string
  /** From the root of the repository. */
  readonly file: string
  readonly body: () => string | Promise<string>
}

/** Every block that is made from the code. Those of benches need the numbers of a run: see `bench/`. */
export const README_BLOCKS: readonly Block[] = [
  { name: 'config', file: 'docs/configuration.md', body: settingsMarkdown },
  { name: 'example', file: 'docs/configuration.md', body: exampleMarkdown },
  { name: 'errors', file: 'docs/api.md', body: errorsMarkdown },
  { name: 'admin', file: 'docs/api.md', body: adminMarkdown },
  { name: 'commands', file: 'docs/operations.md', body: commandsMarkdown },
  { name: 'metrics', file: 'docs/operations.md', body: metricsMarkdown },
  { name: 'layout', file: 'docs/architecture.md', body: layoutMarkdown },
  { name: 'tables', file: 'docs/architecture.md', body: tablesMarkdown },
]

/** The text between the markers, or `undefined` where the page has no such block. */
export function readBlock(page: string, name: string): string | undefined {
  const { begin, end } = markers(name)
  const from = page.indexOf(begin)
  const to = page.indexOf(end)
  if (from === -1 || to < from) return undefined
  return page.slice(from + begin.length, to).trim()
}

/** The page with the block's text replaced; throws where the markers are missing. */
export function replaceBlock(page: string, name: string, body: string): string {
  const { begin, end } = markers(name)
  const from = page.indexOf(begin)
  const to = page.indexOf(end)
  if (from === -1 || to < from) throw new Error(`the page needs ${begin} and ${end}`)
  return `${page.slice(0, from)}${begin}\n\n${body}\n\n${page.slice(to)}`
}

function markers(name: string): { readonly begin: string; readonly end: string } {
  return { begin: `<!-- begin:${name} -->`, end: `<!-- end:${name} -->` }
}

function errorsMarkdown(): string {
  const kinds: readonly ErrorRow[] = Object.values(ERRORS)
  // What the admin API refuses itself has words of its own.
  const rows = kinds
    .filter(({ word }) => word === undefined)
    .map(({ code, status, message }) => `| \`${code}\` | ${status} | ${message} |`)
  return ['| Code | Status | Message |', '| --- | --- | --- |', ...rows].join('\n')
}

/** The file with every setting, as it ships. */
function exampleMarkdown(): string {
  return `\`\`\`yaml\n${textOf('example-config.yaml').trimEnd()}\n\`\`\``
}

/** Stands for everything that endpoints are given: the table only reads what they say of themselves. */
const nothing: never = new Proxy(() => nothing, { get: () => nothing }) as never

/** Every endpoint of the admin API, of no server: what they say of themselves can be read. */
export function adminEndpoints(): readonly Endpoint[] {
  return [
    ...serviceEndpoints(nothing),
    ...gcEndpoints(nothing),
    ...jobEndpoints(nothing, nothing),
    ...repositoryEndpoints(nothing),
    ...imageEndpoints(nothing),
    ...signatureEndpoints(nothing),
    ...eventEndpoints(nothing),
    ...pinEndpoints(nothing),
    ...auditEndpoints({ file: undefined, flush: nothing }),
    ...syncEndpoints({ syncs: undefined, clock: nothing }),
    ...syncPlanEndpoints({ jobs: nothing, plans: nothing, apply: nothing }),
    ...meshEndpoints({ overview: nothing, setState: nothing, onlyAt: nothing, leave: nothing }),
    ...copyEndpoints({ copiesOf: nothing, groups: nothing, repair: nothing }),
    ...mirrorEndpoints({ mirrors: undefined, isTls: false, onWarmed: nothing }),
  ]
}

/** One line for each operation of the admin API. */
function adminMarkdown(): string {
  const rows = adminEndpoints().map(
    ({ method, path, need, summary }) =>
      `| ${method} | \`${path.replace(/\{(\w+)\}/g, '<$1>')}\` | ${needText(need)} | ${summary.replaceAll('|', '\\|')} |`,
  )
  return ['| Method | Path | Needs | |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

/** What is read at a scrape: nothing is there to be counted. */
const emptySources = new Proxy({} as never, {
  get: (_, name) => {
    if (name === 'states' || name === 'faults') return new Map()
    return name === 'runs' || name === 'removed' ? () => [] : () => 0
  },
})

const noCopies = { pins: 0, repairBytes: 0, sentBytes: 0, receivedBytes: 0 }

/** Name and meaning of every metric of our own, as `/metrics` says them. */
async function metricsMarkdown(): Promise<string> {
  const metrics = new Metrics({
    routes: [],
    version: '',
    engine: '',
    cleanup: emptySources,
    openConnections: () => 0,
    openRequests: () => 0,
    openUploads: () => 0,
    mappedBytes: () => 0,
    freeBytes: () => 0,
    quarantinedBlobs: () => 0,
    scrubbedBytes: () => 0,
    droppedLogLines: () => 0,
  })
  declareMirrorMetrics(metrics, () => [])
  declareSyncMetrics(
    metrics,
    new SyncCounters(),
    () => [],
    () => 0,
  )
  declareSignatureMetrics(metrics, new SignatureCounters(() => new Map()))
  declareMeshMetrics(metrics, () => emptySources)
  declarePlacementMetrics(metrics, () => new Map())
  declareCopyMetrics(metrics, () => ({ ...noCopies, figures: undefined }))
  const text = await metrics.render()
  metrics.stop()
  const rows = [...text.matchAll(/^# HELP (fastregistry_\w+) (.*)$/gm)].map(
    ([, name, help]) => `| \`${name}\` | ${help} |`,
  )
  return ['| Metric | Meaning |', '| --- | --- |', ...rows].join('\n')
}

/** The drawing of the storage folder: blobs as their driver draws them, then what has other owners. */
function layoutMarkdown(): string {
  const header = textOf('src/blobs/files/layout.ts').split('*/', 1)[0]!
  const drawn = (path: string, what: string) => `${path.padEnd(42)}${what}`
  const lines = [
    ...[...header.matchAll(/^ \* {3}(\S.*)$/gm)].map(([, line]) => line!),
    drawn(`${metadataFolder('')}/`, 'the LMDB environment'),
    drawn(`${plansFolder('')}/<plan id>`, 'what a collection would remove or did, line by line'),
    drawn(`${secretFolder('')}/`, 'signing keys, access tokens, revoked logins: for their owner'),
    drawn('mesh/', 'key and certificate of a node of a mesh, with its part of etcd'),
    drawn(
      `${tailFolder('')}/`,
      'what a node of a mesh has applied last, for peers that fell behind',
    ),
    drawn('run', 'number of the last run of a node of a mesh'),
    drawn('lock', 'held by the one process that has the store open'),
  ]
  return `\`\`\`text\n${lines.join('\n')}\n\`\`\``
}

/** Tables whose names are comment enough in the code; a new table has a comment of its own. */
const NOTES: Readonly<Record<string, string>> = {
  repositories: 'When the repository was created.',
  tags: 'The digest of a tag, who pushed it and when, what it was before.',
  manifests: 'Type, size, subject and times of a manifest in a repository.',
  manifestBytes: 'The exact bytes of a manifest.',
  tagsByDigest: 'Which tags point at a manifest.',
  children: 'What a manifest refers to, and as what: config, layer, manifest.',
  parents: 'Which manifests of which repositories refer to a digest.',
  referrers: 'What a list of referrers shows of one manifest.',
  blobs: 'Size of a blob, where its bytes are, when it was last relied on.',
  blobBytes: 'The bytes of blobs up to the inline limit.',
  uploads: 'An upload session: its offset, and its bytes while they are few.',
  mirrorTags: 'What a mirror knows of a tag, and since when.',
  mirrorBlobs: 'Which blobs a mirror has fetched, and their last pull.',
  mirrorSeen: 'When a mirror first saw a digest.',
  system: 'Numbers of the store itself, such as its schema version.',
  deletedManifests: 'Manifests that an undelete can restore.',
  deletedTags: 'Tags that an undelete can restore.',
  trash: 'Blobs without their row that can be restored.',
  jobs: 'Jobs with their state and progress.',
  repositorySums: 'What a repository holds, in sums.',
  plans: 'What collections planned; the items are in files.',
}

/** One line for each table of the metadata: its key, its row, what the schema says of it. */
function tablesMarkdown(): string {
  const schema = textOf('src/metadata/schema.ts')
  const rows = Object.entries(DATABASES).map(([name, { scope, values }]) => {
    const declared = new RegExp(
      `(?:/\\*\\* ([^\\n]*) \\*/\\n)?  readonly ${name}: \\{ key: (.+); row: (.+) \\}\\n`,
    )
    const [, note = NOTES[name] ?? '', key, row] = declared.exec(schema) ?? []
    if (note === '') throw new Error(`schema.ts needs a comment of one line on ${name}`)
    if (key === undefined || row === undefined)
      throw new Error(`schema.ts does not declare ${name}`)
    const cells = [
      `\`${name}\``,
      code(key.replace('readonly ', '')),
      code(row),
      values,
      scope,
      note,
    ]
    return `| ${cells.join(' | ')} |`
  })
  return [
    '| Table | Key | Row | Stored as | Scope | |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}

function code(text: string): string {
  return `\`${text.replaceAll('|', '\\|')}\``
}

function textOf(file: string): string {
  return readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
}
