/**
 * @module Settings of features that are not built yet. Files that carry them load as long as they
 * change nothing; values that would change behaviour are refused, never silently ignored. A feature
 * that arrives takes `notYet` away from its rows.
 */
import * as v from 'valibot'
import { setting } from '../setting.ts'
import * as type from '../value-type.ts'

const since = '1.0.0'

/** Refusals that several rows share. */
const whenTrue = { accepts: 'false', refuses: (value: boolean) => value }
const whenNotEmpty = {
  accepts: 'an empty list',
  refuses: (value: readonly unknown[]) => value.length > 0,
}
/** Any value will do: it only matters once another setting of the feature is not refused. */
const never = { accepts: 'any valid value', refuses: () => false }

const words = v.pipe(v.string('expected text'), v.nonEmpty('expected text that is not empty'))
const texts = v.array(words, 'expected a list of texts')
const flag = v.boolean('expected true or false')
const url = v.pipe(v.string('expected text'), v.check(isHttpUrl, 'expected an http or https URL'))
const count = v.pipe(
  v.number('expected a whole number'),
  v.integer('expected a whole number'),
  v.minValue(1, 'expected a whole number from 1 to 1000'),
  v.maxValue(1000, 'expected a whole number from 1 to 1000'),
)
const schedule = v.pipe(
  v.string('expected a cron schedule'),
  v.check(type.isCron, 'expected a cron schedule of five fields, such as "*/15 * * * *"'),
)

function isHttpUrl(text: string): boolean {
  return /^https?:\/\/./i.test(text) && URL.canParse(text)
}

const syncSource = type.item({
  name: words,
  type: v.optional(
    v.picklist(['quay', 'registry', 'fastregistry'], 'expected quay, registry or fastregistry'),
  ),
  url,
  token: v.optional(v.string('expected text')),
  robot_account: v.optional(v.string('expected text')),
  robot_token: v.optional(v.string('expected text')),
  organizations: v.optional(texts),
  repositories: v.optional(texts),
  include_tags: v.optional(v.string('expected one tag pattern')),
  exclude_tags: v.optional(v.string('expected one tag pattern')),
  sync_signatures: v.optional(flag),
  sync_sboms: v.optional(flag),
  schedule: v.optional(schedule),
  mode: v.optional(v.picklist(['once', 'continuous'], 'expected once or continuous')),
  concurrency: v.optional(count),
})

export const LATER_SETTINGS = {
  'sync.sources': setting({
    type: type.list('list of sources', syncSource),
    default: [],
    doc: 'Registries that are copied on a schedule.',
    since,
    isSecret: true,
    notYet: whenNotEmpty,
  }),
  'mesh.enabled': setting({
    type: type.boolean(),
    default: false,
    doc: 'Share content with other nodes.',
    since,
    notYet: whenTrue,
  }),
  'mesh.bind': setting({
    type: type.address(),
    default: ':7946',
    doc: 'Address of the traffic between nodes.',
    since,
    notYet: never,
  }),
  'mesh.peers': setting({
    type: type.list('list of addresses', words),
    default: [],
    doc: 'Nodes to join.',
    since,
    notYet: never,
  }),
  'mesh.replication_factor': setting({
    type: type.integer(1, 100),
    default: 2,
    unit: 'nodes',
    doc: 'How many nodes hold a blob.',
    since,
    notYet: never,
  }),
  'releases.enabled': setting({
    type: type.boolean(),
    default: false,
    doc: 'Mirror OpenShift releases.',
    since,
    notYet: whenTrue,
  }),
  'releases.upstream': setting({
    type: type.text(),
    default: 'quay.io',
    doc: 'Registry of the releases.',
    since,
    notYet: never,
  }),
  'releases.repository': setting({
    type: type.text(),
    default: 'openshift-release-dev/ocp-release',
    doc: 'Repository of the releases.',
    since,
    notYet: never,
  }),
  'releases.local_repo': setting({
    type: type.text(),
    default: 'openshift/release',
    doc: 'Repository that holds them here.',
    since,
    notYet: never,
  }),
  'releases.architectures': setting({
    type: type.list('list of architectures', words),
    default: ['x86_64', 'aarch64'],
    doc: 'Architectures to mirror.',
    since,
    notYet: never,
  }),
  'releases.artifact_path': setting({
    type: type.text(),
    default: '',
    doc: 'Folder of extracted artifacts.',
    since,
    notYet: never,
  }),
  'releases.pull_secret': setting({
    type: type.text(),
    default: '',
    doc: 'Credentials for the upstream.',
    since,
    isSecret: true,
    notYet: never,
  }),
  'releases.auto_discover': setting({
    type: type.boolean(),
    default: false,
    doc: 'Look for new releases on a schedule.',
    since,
    notYet: never,
  }),
  'releases.discover_schedule': setting({
    type: type.cron(),
    default: '0 */6 * * *',
    doc: 'When to look for new releases.',
    since,
    notYet: never,
  }),
  'certs.auto_generate': setting({
    type: type.boolean(),
    default: false,
    doc: 'Make a certificate authority and certificates at start.',
    since,
    notYet: whenTrue,
  }),
  'certs.ca_cert': setting({
    type: type.text(),
    default: '',
    doc: 'Certificate of the authority.',
    since,
    notYet: never,
  }),
  'certs.ca_key': setting({
    type: type.text(),
    default: '',
    doc: 'Key of the authority.',
    since,
    notYet: never,
  }),
  'certs.output_dir': setting({
    type: type.text(),
    default: '',
    doc: 'Folder of generated certificates.',
    since,
    notYet: never,
  }),
} as const
