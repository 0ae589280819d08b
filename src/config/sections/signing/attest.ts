/**
 * @module Settings of what the registry signs itself: whether it does, with which key, under which name, which facts.
 */
import { resolve } from 'node:path'
import type { ListenAddress } from '../../address.ts'
import { type Contradiction, setting, type ValuesOf } from '../../setting.ts'
import * as type from '../../values.ts'

const since = '1.0.0'

const FACTS = ['push', 'promotion', 'mirror'] as const

const host = type.orNone(
  type.textThat(
    (value) => /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])?(?::\d{1,5})?$/i.test(value),
    'expected a host such as "registry.example.com", with a port where clients name one',
  ),
)

export const ATTEST_SETTINGS = {
  'signing.attest.enabled': setting({
    type: type.boolean(),
    default: false,
    doc: 'Whether the registry signs with a key of its own: a verification summary for each image that a policy lets pass, and what `signing.attest.facts` and `countersign` of a policy ask for.',
    since,
  }),
  'signing.attest.key': setting({
    type: type.text(),
    default: '',
    doc: 'File with the private key, as PKCS#8 in PEM, EC on P-256. Read again when it changes. Empty: the registry makes one below `storage.path`.',
    since,
  }),
  'signing.attest.host': setting({
    type: host,
    default: '',
    doc: 'Name of this registry in what it signs, as clients write it before a repository. Empty: that of `auth.tokens.realm`, else of `server.hosts`, else the address of the listener.',
    since,
  }),
  'signing.attest.facts': setting({
    type: type.list('list of push, promotion, mirror', type.oneOf(...FACTS)),
    default: [],
    doc: 'Facts that the registry signs: which tags were pushed and by whom, which images were copied inside the registry, which manifests came from which upstream.',
    since,
  }),
} as const

export interface AttestConfig {
  readonly enabled: boolean
  /** Undefined: the registry's own, below `storage.path`. */
  readonly keyFile: string | undefined
  /** Name of this registry in references. */
  readonly host: string
  /** Nothing says what clients call it: `host` is the address of a listener. */
  readonly isHostGuessed: boolean
  readonly facts: readonly (typeof FACTS)[number][]
}

type Values = ValuesOf<typeof ATTEST_SETTINGS>

/** What else says how clients call this registry. */
export interface KnownNames {
  readonly realm: string | undefined
  readonly hosts: readonly string[]
  readonly addr: ListenAddress
}

export function attestPart(values: Values, names: KnownNames): AttestConfig {
  const key = values['signing.attest.key']
  const named =
    values['signing.attest.host'] ??
    (names.realm === undefined ? undefined : new URL(names.realm).host) ??
    names.hosts.find((one) => !one.startsWith('*'))
  const { host: address, port } = names.addr
  return {
    enabled: values['signing.attest.enabled'],
    keyFile: key === '' ? undefined : resolve(key),
    host: named ?? `${listenerName(address)}:${port}`,
    isHostGuessed: named === undefined,
    facts: values['signing.attest.facts'],
  }
}

function listenerName(address: string): string {
  if (['', '0.0.0.0', '::'].includes(address)) return 'localhost'
  return address.includes(':') ? `[${address}]` : address
}

/** What needs the registry to sign, where it does not. */
export function attestContradictions(
  values: Values,
  policies: readonly { readonly name: string; readonly countersign: boolean }[],
): readonly Contradiction[] {
  if (values['signing.attest.enabled']) return []
  const message = 'signing.attest.enabled is false; set it to true, or leave this out'
  const found: Contradiction[] = []
  const unless = ['signing.attest.enabled']
  if (values['signing.attest.facts'].length > 0) {
    found.push({ key: 'signing.attest.facts', message, unless })
  }
  if (values['signing.attest.key'] !== '') {
    found.push({ key: 'signing.attest.key', message, unless })
  }
  for (const [at, { countersign }] of policies.entries()) {
    if (!countersign) continue
    found.push({ key: 'signing.policies', message: `[${at}].countersign: ${message}`, unless })
  }
  return found
}
