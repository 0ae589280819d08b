/**
 * @module Settings of synchronisation: registries that are copied. An item of `sync.sources` is read in
 * `sync/`: names, patterns, ranges and times are checked there, and what contradicts inside a source or
 * between two, so that a run has nothing to refuse.
 */
import { setting, type ValuesOf } from '../setting.ts'
import * as type from '../values.ts'
import { sourcesIssues } from './sync/checks.ts'
import { type SyncSourceConfig, syncSource } from './sync/source.ts'

export type {
  SyncAccount,
  SyncPruneConfig,
  SyncReferrers,
  SyncSecret,
  SyncSourceConfig,
  SyncTagsConfig,
} from './sync/source.ts'

const since = '1.0.0'

export const SYNC_SETTINGS = {
  'sync.concurrency': setting({
    type: type.integer(1, 1000),
    default: 10,
    unit: 'blobs',
    doc: 'Blobs that all sources together copy at the same time.',
    since,
  }),
  'sync.sources': setting({
    type: type.inspect(type.list('list of sources', syncSource), sourcesIssues),
    default: [],
    doc: 'Registries that are copied on a schedule.',
    since,
    isSecret: true,
  }),
} as const

type Values = ValuesOf<typeof SYNC_SETTINGS>

export function syncPart(values: Values): { readonly sync: SyncConfig } {
  return {
    sync: { concurrency: values['sync.concurrency'], sources: values['sync.sources'] },
  }
}

export interface SyncConfig {
  /** Blobs in flight of all sources together. */
  readonly concurrency: number
  /** In the order of the file: of two that want one repository, the earlier has it. */
  readonly sources: readonly SyncSourceConfig[]
}
