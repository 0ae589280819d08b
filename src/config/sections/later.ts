/**
 * @module Settings of features that are not built yet. Files that carry them load as long as they
 * change nothing; values that would change behaviour are refused, never silently ignored. A feature
 * that arrives takes `notYet` away from its rows.
 */
import { setting } from '../setting.ts'
import * as type from '../values.ts'

const since = '1.0.0'

/** A refusal that several rows share. */
const whenTrue = { accepts: 'false', refuses: (value: boolean) => value }
/** Any value changes nothing: it only matters when another setting of the feature is accepted. */
const never = { accepts: 'any valid value', refuses: () => false }

const word = type.text({ lengthMin: 1 })
const words = (name: string) => type.list(name, word)

export const LATER_SETTINGS = {
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
    type: words('list of architectures'),
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
