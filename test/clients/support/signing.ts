/**
 * @module What the suites of signatures share: keys that tools and registry know, a registry with policies, and the
 * registry's own verdict of an image.
 */

import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { stringify } from 'yaml'
import { ConfigError } from '../../../src/config/explain.ts'
import { loadConfigText } from '../../../src/config/load.ts'
import type { Session } from './session.ts'

/** Kinds of keys, by the names that they have in the registry. */
export const KEY_KINDS = [
  'p256',
  'p384',
  'p521',
  'rsa2048',
  'rsa3072',
  'rsa4096',
  'ed25519',
] as const
export type KeyKind = (typeof KEY_KINDS)[number]

/** One that the registry does not know. */
export const STRANGER = 'stranger'

export type Cosign = 'cosign' | 'cosign2'

export const PLAIN = '--allow-http-registry'

/** Of cosign 3: without a transparency log, in the one form or the other. */
const SIGN: Readonly<Record<Cosign, readonly string[]>> = {
  cosign: ['--yes', '--tlog-upload=false', '--use-signing-config=false', PLAIN],
  cosign2: ['--yes', '--tlog-upload=false', PLAIN],
}

export const AS_TAG: Readonly<Record<Cosign, readonly string[]>> = {
  cosign: ['--new-bundle-format=false'],
  cosign2: [],
}

export const AS_BUNDLE: Readonly<Record<Cosign, readonly string[]>> = {
  cosign: [],
  cosign2: ['--new-bundle-format'],
}

/** cosign 2 wants a trusted root for bundles: an empty one does for keys, and it asks no network then. */
export const VERIFY_BUNDLE: Readonly<Record<Cosign, readonly string[]>> = {
  cosign: [],
  cosign2: ['--new-bundle-format', '--trusted-root', 'trusted-root.json'],
}

export function signArgs(tool: Cosign, key: string): readonly string[] {
  return ['--key', `${key}.key`, ...SIGN[tool]]
}

export const verifyArgs = (key: string): readonly string[] => [
  '--key',
  `${key}.pub`,
  '--insecure-ignore-tlog=true',
  PLAIN,
]

interface Pair {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

function pairOf(kind: KeyKind | typeof STRANGER): Pair {
  switch (kind) {
    case 'p256':
    case STRANGER:
      return generateKeyPairSync('ec', { namedCurve: 'P-256' })
    case 'p384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' })
    case 'p521':
      return generateKeyPairSync('ec', { namedCurve: 'P-521' })
    case 'ed25519':
      return generateKeyPairSync('ed25519')
    default:
      return generateKeyPairSync('rsa', { modulusLength: Number(kind.slice('rsa'.length)) })
  }
}

const EMPTY_ROOT = {
  mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
  tlogs: [],
  certificateAuthorities: [],
  ctlogs: [],
  timestampAuthorities: [],
}

/** Writes `KIND.key`, as cosign keeps it, and `KIND.pub` into the session's folder; the public keys in PEM. */
export async function makeKeys(session: Session): Promise<ReadonlyMap<string, string>> {
  await writeFile(session.own('trusted-root.json'), JSON.stringify(EMPTY_ROOT))
  const made = new Map<string, string>()
  for (const kind of [...KEY_KINDS, STRANGER] as const) {
    const { publicKey, privateKey } = pairOf(kind)
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    await writeFile(session.own(`${kind}.pem`), pem)
    const target = ['--output-key-prefix', kind, '--yes']
    await session.run('cosign', 'import-key-pair', '--key', `${kind}.pem`, ...target)
    made.set(kind, publicKey.export({ type: 'spki', format: 'pem' }).toString())
  }
  return made
}

/** Whether a registry of this version would start with such a configuration. */
export async function takes(config: Readonly<Record<string, unknown>>): Promise<boolean> {
  try {
    await loadConfigText(stringify(config), 'config.yaml', { environment: {} })
    return true
  } catch (error) {
    if (error instanceof ConfigError) return false
    throw error
  }
}

export interface Verdict {
  readonly state: string
  readonly by: readonly string[]
  readonly signatures: readonly {
    readonly scheme: string
    readonly result: string
    readonly reason?: string
    readonly predicateType?: string
  }[]
}

/** What the registry says of an image by a policy. */
export async function verdictOf(
  url: string,
  repository: string,
  reference: string,
  policy: string,
): Promise<Verdict> {
  const response = await fetch(`${url}/admin/signatures/verify`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ repository, reference, policy }),
  })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`verify ${repository}: ${response.status} ${text}`)
  return JSON.parse(text) as Verdict
}
