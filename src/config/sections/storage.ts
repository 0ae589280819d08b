/**
 * @module Settings of the store and of what it accepts, and the parts of the configuration that they
 * make. What is removed from it is in `cleanup.ts`.
 */
import { type Fields, fieldsOf, setting, type ValuesOf } from '../setting.ts'
import * as type from '../values.ts'

const since = '1.0.0'

const STORAGE = {
  'storage.path': setting({
    type: type.path({ lengthMin: 1 }),
    field: 'path',
    default: '/var/lib/fastregistry',
    doc: 'Folder that holds everything; the server makes it when it is missing.',
    since,
    flag: 'storage',
  }),
  'storage.cache_size_mb': setting({
    type: type.integer(1, 16_777_216),
    field: 'cacheSizeMb',
    default: 1024,
    unit: 'MiB',
    doc: 'Blob files kept mapped for reading. Their pages belong to the page cache of the system.',
    since,
  }),
  'storage.reserve_mb': setting({
    type: type.integer(0, 16_777_216),
    field: 'reserveMb',
    default: 512,
    unit: 'MiB',
    doc: 'Free disk space below which the server refuses pushes with 507, while pulls and deletes go on.',
    since,
  }),
  'storage.inline_limit': setting({
    type: type.size('0', '1MiB'),
    field: 'inlineLimitBytes',
    default: '64KiB',
    doc: 'Blobs up to this size are kept in the metadata store and need no file.',
    since,
  }),
  'storage.durability': setting({
    type: type.oneOf('full', 'relaxed'),
    field: 'durability',
    default: 'full',
    doc: 'With `full` an acknowledged push survives power loss; `relaxed` may lose the last seconds.',
    since,
  }),
  'storage.upload_ttl': setting({
    type: type.duration('1s', '365d'),
    field: 'uploadTtlMs',
    default: '24h',
    doc: 'Upload sessions without a request for this long are removed.',
    since,
  }),
  'storage.reader': setting({
    type: type.oneOf('auto', 'map', 'file'),
    field: 'reader',
    default: 'auto',
    doc: 'How the server reads blob files: `map` from memory mappings, `file` by asynchronous reads, `auto` maps where it can.',
    since,
  }),
} as const

const SCRUB = {
  'storage.scrub.enabled': setting({
    type: type.boolean(),
    field: 'enabled',
    default: false,
    doc: 'Read everything stored on a schedule, and take content that does not have its digest out of service.',
    since,
  }),
  'storage.scrub.schedule': setting({
    type: type.cron(),
    field: 'schedule',
    default: '0 3 * * 0',
    doc: 'When the scrub starts (cron, local time). A scrub that is still running does not start again.',
    since,
  }),
  'storage.scrub.bytes_per_second': setting({
    type: type.size('64KiB', '16GiB'),
    field: 'bytesPerSecond',
    default: '64MiB',
    doc: 'How fast the scrub reads at most, per second.',
    since,
  }),
} as const

const POLICY = {
  'policy.allow_sparse_index': setting({
    type: type.boolean(),
    field: 'allowsSparseIndex',
    default: true,
    doc: 'Accept an image index although manifests that it lists are missing.',
    since,
  }),
  'policy.allow_missing_blobs': setting({
    type: type.boolean(),
    field: 'allowsMissingBlobs',
    default: false,
    doc: 'Accept an image manifest although its layers or its image config are missing.',
    since,
  }),
  'policy.check_sizes': setting({
    type: type.boolean(),
    field: 'checksSizes',
    default: true,
    doc: 'Refuse a manifest whose descriptors contradict the size of stored content.',
    since,
  }),
  'policy.delete': setting({
    type: type.boolean(),
    field: 'allowsDelete',
    default: true,
    doc: 'Allow clients to delete tags, manifests and blobs.',
    since,
  }),
} as const

export const STORAGE_SETTINGS = { ...STORAGE, ...SCRUB, ...POLICY }

export type ScrubConfig = Fields<typeof SCRUB>
export type PolicyConfig = Fields<typeof POLICY>

export interface StorageConfig extends Fields<typeof STORAGE> {
  readonly scrub: ScrubConfig
}

export interface StoragePart {
  readonly storage: StorageConfig
  readonly policy: PolicyConfig
}

export function storagePart(values: ValuesOf<typeof STORAGE_SETTINGS>): StoragePart {
  return {
    storage: { ...fieldsOf(STORAGE, values), scrub: fieldsOf(SCRUB, values) },
    policy: fieldsOf(POLICY, values),
  }
}
