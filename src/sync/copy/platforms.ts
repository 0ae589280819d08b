/**
 * @module Which manifests of an index are copied. The index itself keeps its bytes, and with them its digest
 * and its signatures.
 */
import {
  decode,
  elementsOf,
  type Member,
  membersOf,
  type Piece,
  Turns,
} from '../../upstream/json-pieces.ts'

/** Longest platform or annotations of an entry that are read, bytes. */
const memberBytesMax = 16 * 1024

/** What BuildKit calls the manifest that an attestation is of. */
const ATTESTED = 'vnd.docker.reference.digest'

interface Entry {
  readonly digest: string
  /** `linux/arm64/v8`; empty where the index names none. */
  readonly platform: string
  readonly attested: string | undefined
}

/**
 * Digests of the entries of an index for these platforms, with the attestations of those. `bytes`: of an
 * index that was parsed already.
 */
export async function chosenChildren(
  bytes: Uint8Array,
  platforms: readonly string[],
): Promise<ReadonlySet<string>> {
  const entries = await entriesOf(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  const chosen = new Set<string>()
  for (const { digest, platform, attested } of entries) {
    if (attested === undefined && platforms.some((it) => isPlatform(platform, it))) {
      chosen.add(digest)
    }
  }
  for (const { digest, attested } of entries) {
    if (attested !== undefined && chosen.has(attested)) chosen.add(digest)
  }
  return chosen
}

/** `linux/arm` is every variant; `linux/arm64/v8` is also what names no variant. */
export function isPlatform(platform: string, wanted: string): boolean {
  if (platform === wanted) return true
  if (platform === '' || wanted === '') return false
  return platform.startsWith(`${wanted}/`) || wanted.startsWith(`${platform}/`)
}

/** The platform of an image by its config; undefined where that says none. */
export function platformOfConfig(bytes: Uint8Array): string | undefined {
  try {
    const config = JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown
    if (typeof config !== 'object' || config === null) return undefined
    const platform = platformOf(config as Record<string, unknown>)
    return platform === '' ? undefined : platform
  } catch {
    return undefined
  }
}

async function entriesOf(bytes: Buffer): Promise<Entry[]> {
  const list = [...membersOf(bytes)].findLast(({ name }) => name === 'manifests')
  if (list === undefined) return []
  const turns = new Turns()
  const entries: Entry[] = []
  for (const piece of elementsOf(bytes, list)) {
    entries.push(entryOf(bytes, piece))
    await turns.spend(piece.end - piece.start)
  }
  return entries
}

function entryOf(bytes: Buffer, { start }: Piece): Entry {
  const members = new Map<string, Member>()
  for (const member of membersOf(bytes, start)) members.set(member.name, member)
  const annotations = objectOf(bytes, members.get('annotations'))
  const attested = annotations[ATTESTED]
  return {
    digest: String(memberValue(bytes, members.get('digest'))),
    platform: platformOf(objectOf(bytes, members.get('platform'))),
    attested: typeof attested === 'string' ? attested : undefined,
  }
}

function platformOf(it: Readonly<Record<string, unknown>>): string {
  const parts = [it['os'], it['architecture'], it['variant']]
  return parts.filter((part) => typeof part === 'string' && part !== '').join('/')
}

function objectOf(bytes: Buffer, member: Member | undefined): Readonly<Record<string, unknown>> {
  const value = memberValue(bytes, member)
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function memberValue(bytes: Buffer, member: Member | undefined): unknown {
  if (member === undefined || member.end - member.start > memberBytesMax) return undefined
  return decode(bytes, member)
}

export function isChosen(chosen: ReadonlySet<string> | undefined, digest: string): boolean {
  return chosen === undefined || chosen.has(digest)
}
