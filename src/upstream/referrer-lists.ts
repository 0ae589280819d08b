/**
 * @module The referrers of a manifest upstream: by the referrers API, else by the tag that stands for
 * it in older registries. "None" and "not known" are different answers.
 */

import { type Digest, parseDigest } from '../registry/digest.ts'
import { manifestTypes, mediaTypes } from '../registry/media-type.ts'
import type { Ask } from './ask.ts'
import { type Answer, headerOf } from './client.ts'
import { meansNoReferrers, toUpstreamError, UpstreamError } from './error.ts'
import { decode, elementsOf, type Member, membersOf, type Piece, Turns } from './json-pieces.ts'
import { nextQuery } from './link.ts'

/** Referrers of one manifest that are kept, their bytes, and pages that are asked for. */
const referrersMax = 10_000
const bytesMax = 16 * 1024 * 1024
const pagesMax = 200
const pageBytesMax = 4 * 1024 * 1024

/** Annotations of one entry that are listed, bytes of JSON; the manifest itself has the larger ones. */
const annotationBytesMax = 64 * 1024

/** Whom they are asked of: one repository of an upstream. */
export interface AskedRepository {
  /** `Upstream.fetch`, of this repository. Throws an `UpstreamError`. */
  fetch(
    it: Omit<Ask, 'repository' | 'method'>,
    bytesMax: number,
  ): Promise<Answer & { readonly bytes: Buffer }>
}

/** One entry of a list, as upstream shows it. */
export interface ListedReferrer {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly artifactType?: string
  /** JSON, texts only. */
  readonly annotationsJson?: Uint8Array
}

/** What the API lists, and why that is not all of it. */
export interface ApiReferrers {
  readonly rows: readonly ListedReferrer[]
  /** Undefined: it was read to its end. */
  readonly cut: string | undefined
}

export interface ReferrerList {
  readonly rows: readonly ListedReferrer[]
  /** Whether upstream has the API, or a tag in its place. */
  readonly isKept: boolean
}

/** Throws an `UpstreamError` when upstream could not be asked. */
export async function fetchReferrers(
  repository: AskedRepository,
  subject: Digest,
  deadline: number,
): Promise<ReferrerList> {
  let hasApi = false
  try {
    const { rows } = await referrersByApi(repository, subject, deadline)
    return { rows, isKept: true }
  } catch (error) {
    if (!meansNoApi(error)) throw error
    hasApi = meansNoReferrers(error)
  }
  try {
    return { rows: await byTag(repository, subject, deadline), isKept: true }
  } catch (error) {
    if (toUpstreamError(error, 'upstream').kind !== 'missing') throw error
    return { rows: [], isKept: hasApi }
  }
}

/**
 * Whatever is no index there, and no failure that passes: 400, 404, 405, a web page, a redirect to a
 * host that answers anything else than an index. A refusal as well: whether the repository may be
 * read at all the tag will tell.
 */
export function meansNoApi(error: unknown): error is UpstreamError {
  if (!(error instanceof UpstreamError)) return false
  const { kind, status, isElsewhere } = error
  if (error.isRefusal || kind === 'garbage' || kind === 'redirect') return true
  return status === 501 || (isElsewhere && status !== undefined)
}

/** Codes that say of one subject, or of one repository, that it is not known. */
const UNKNOWN_CODES: ReadonlySet<string> = new Set([
  'MANIFEST_UNKNOWN',
  'MANIFEST_INVALID',
  'NAME_UNKNOWN',
])

export interface NoApi {
  /** Of every subject, not of this one alone. */
  readonly isOfAll: boolean
  /** A host that a redirect has named says so: whether this one still knows us, only asking it tells. */
  readonly isElsewhere: boolean
}

/**
 * Whether upstream has said that there is no referrers API, or that it does not know the subject: 404, 405, 501,
 * `UNSUPPORTED`, Quay's 400, and GHCR's redirect to its web pages. Undefined for everything else: what could not
 * be asked has not said that there is none.
 */
export function saysNoApi(error: unknown): NoApi | undefined {
  if (!(error instanceof UpstreamError)) return undefined
  const { kind, status, code = '', isElsewhere } = error
  if (isElsewhere) return status === undefined ? undefined : { isOfAll: true, isElsewhere }
  if (meansNoReferrers(error)) return { isOfAll: false, isElsewhere }
  const isNone = kind === 'missing' || status === 405 || status === 501 || code === 'UNSUPPORTED'
  return isNone ? { isOfAll: !UNKNOWN_CODES.has(code), isElsewhere } : undefined
}

/** By the referrers API alone. Throws an `UpstreamError`: `saysNoApi` tells whether there is none. */
export async function referrersByApi(
  repository: AskedRepository,
  subject: Digest,
  deadline: number,
): Promise<ApiReferrers> {
  const rows: ListedReferrer[] = []
  const asked = new Set<string>()
  let query: string | undefined = ''
  let bytes = 0
  while (query !== undefined) {
    if (asked.has(query)) return { rows, cut: 'its pages lead in a circle' }
    if (asked.size === pagesMax) return { rows, cut: `there are more than ${pagesMax} pages` }
    asked.add(query)
    const answer: Answer & { bytes: Buffer } = await repository.fetch(
      {
        tail: `referrers/${subject}${query}`,
        headers: { Accept: mediaTypes.ociIndex },
        deadline,
      },
      pageBytesMax,
    )
    const found = await indexRows(answer.bytes)
    bytes += answer.bytes.byteLength
    rows.push(...found.slice(0, referrersMax - rows.length))
    query = nextQuery(headerOf(answer.headers, 'link'))
    if (query === undefined) break
    if (rows.length === referrersMax) return { rows, cut: `there are more than ${referrersMax}` }
    if (bytes > bytesMax) return { rows, cut: `its pages have more than ${bytesMax} bytes` }
  }
  return { rows, cut: undefined }
}

async function byTag(
  repository: AskedRepository,
  subject: Digest,
  deadline: number,
): Promise<ListedReferrer[]> {
  const answer = await repository.fetch(
    {
      tail: `manifests/${subject.replace(':', '-')}`,
      headers: { Accept: manifestTypes },
      deadline,
    },
    pageBytesMax,
  )
  return (await indexRows(answer.bytes)).slice(0, referrersMax)
}

/** The entries of an image index. Throws `garbage` for anything else. */
export async function indexRows(bytes: Buffer): Promise<ListedReferrer[]> {
  const members = new Map<string, Member>()
  for (const member of membersOf(bytes)) members.set(member.name, member)
  const manifests = members.get('manifests')
  const type = members.get('mediaType')
  const isIndex = type === undefined || decode(bytes, type) === mediaTypes.ociIndex
  if (manifests === undefined || !isIndex) {
    throw new UpstreamError('garbage', 'upstream sends no image index')
  }
  const turns = new Turns()
  const rows: ListedReferrer[] = []
  for (const piece of elementsOf(bytes, manifests)) {
    const row = rowOf(bytes, piece)
    if (row !== undefined) rows.push(row)
    await turns.spend(piece.end - piece.start)
    if (rows.length === referrersMax) break
  }
  return rows
}

const SHOWN: ReadonlySet<string> = new Set(['mediaType', 'digest', 'size', 'artifactType'])

/** Longest of those, bytes. */
const shownBytesMax = 1024

function rowOf(bytes: Buffer, { start }: Piece): ListedReferrer | undefined {
  if (bytes[start] !== 0x7b) return undefined
  const values = new Map<string, unknown>()
  let annotationsJson: Uint8Array | undefined
  for (const member of membersOf(bytes, start)) {
    const length = member.end - member.start
    if (SHOWN.has(member.name) && length <= shownBytesMax) {
      values.set(member.name, decode(bytes, member))
    } else if (member.name === 'annotations' && length <= annotationBytesMax) {
      annotationsJson = annotationsOf(bytes, member)
    }
  }
  const digest = parseDigest(String(values.get('digest')))
  const [mediaType, size, artifactType] = ['mediaType', 'size', 'artifactType'].map((name) =>
    values.get(name),
  )
  if (!digest.ok || typeof mediaType !== 'string') return undefined
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return undefined
  return {
    mediaType,
    digest: digest.value,
    size,
    ...(typeof artifactType === 'string' ? { artifactType } : {}),
    ...(annotationsJson === undefined ? {} : { annotationsJson }),
  }
}

/** Texts only, every name as it is. */
function annotationsOf(bytes: Buffer, piece: Piece): Uint8Array | undefined {
  if (bytes[piece.start] !== 0x7b) return undefined
  const annotations = decode(bytes, piece) as Record<string, unknown>
  const texts = Object.entries(annotations).filter(([, value]) => typeof value === 'string')
  if (texts.length === 0) return undefined
  // Written by hand: a name such as __proto__ is a name like any other.
  const members = texts.map((pair) => pair.map((it) => JSON.stringify(it)).join(':'))
  return Buffer.from(`{${members.join(',')}}`)
}
