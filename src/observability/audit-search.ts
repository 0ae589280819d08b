/**
 * @module Looks through an audit file from its end: newest first, in pieces that are read beside
 * everything else, bounded in memory and in bytes for one search. Lines that are broken, or no
 * line of ours, are passed over. Not the writer (`audit.ts`).
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'

/** Bytes read at a time: so many lines are parsed without a pause (about 1 ms). */
const pieceBytes = 64 * 1024

/** The longest line that is looked at; a request's head, which names most of it, is no longer. */
const lineBytesMax = 256 * 1024

/** Bytes of its first line that an audit file is known by. */
const markBytesMax = 4 * 1024

/** Lines stand in the order of a clock that may have been set back by so much. */
const clockSlackMs = 3_600_000

export type AuditFields = Readonly<Record<string, unknown>>

export interface AuditQuery<T> {
  /** Where the search before this one ended. */
  readonly after: string | undefined
  /** Most entries of one search. */
  readonly limit: number
  /** Bytes that one search reads. */
  readonly bytesMax: number
  /** Lines older than this are not wanted, ms since the epoch. */
  readonly since: number | undefined
  /** What a line is to the one who asks; undefined: nothing. */
  readonly pick: (fields: AuditFields) => T | undefined
  readonly signal: AbortSignal
}

/** `next` is there while the file may have more. */
export type AuditPage<T> =
  | { readonly kind: 'page'; readonly entries: readonly T[]; readonly next?: string }
  /** The file is not the one that `after` was given for: it was moved away or cut. */
  | { readonly kind: 'rotated' }
  /** `after` was never given out. */
  | { readonly kind: 'unknown-cursor' }

/** Rejects with what the disk says, but for a file that is not there: it has no lines. */
export async function searchAudit<T>(path: string, query: AuditQuery<T>): Promise<AuditPage<T>> {
  const cursor = query.after === undefined ? undefined : parseCursor(query.after)
  if (query.after !== undefined && cursor === undefined) return { kind: 'unknown-cursor' }
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (file === undefined) {
    return cursor === undefined ? { kind: 'page', entries: [] } : { kind: 'rotated' }
  }
  try {
    const [{ size }, mark] = await Promise.all([file.stat(), markOf(file)])
    if (cursor !== undefined && (cursor.mark !== mark || cursor.offset > size)) {
      return { kind: 'rotated' }
    }
    return await search(file, cursor?.offset ?? size, mark, query)
  } finally {
    await file.close()
  }
}

async function search<T>(
  file: FileHandle,
  end: number,
  mark: string,
  { limit, bytesMax, since, pick, signal }: AuditQuery<T>,
): Promise<AuditPage<T>> {
  const entries: T[] = []
  const floor = Math.max(0, end - bytesMax)
  const oldest = since === undefined ? Number.NEGATIVE_INFINITY : since - clockSlackMs
  let offset = end
  for await (const line of linesBackwards(file, end, floor)) {
    if (signal.aborted) break
    if (entries.length === limit) return { kind: 'page', entries, next: `${mark}-${offset}` }
    offset = line.start
    const fields = parseLine(line.bytes)
    if (fields === undefined) continue
    if (Date.parse(String(fields['time'])) < oldest) return { kind: 'page', entries }
    const entry = pick(fields)
    if (entry !== undefined) entries.push(entry)
  }
  if (floor === 0) return { kind: 'page', entries }
  // A line that is longer than a whole search is none: the next one goes on before it.
  if (offset === end) offset = floor
  return { kind: 'page', entries, next: `${mark}-${offset}` }
}

interface Line {
  /** Where it begins in the file. */
  readonly start: number
  readonly bytes: Buffer
}

/** Every line that ends with a line feed before `end` and begins at `floor` or later, last first. */
async function* linesBackwards(file: FileHandle, end: number, floor: number): AsyncGenerator<Line> {
  /** The end of a line whose start has not been read. */
  let rest = Buffer.alloc(0)
  /** What follows the last line feed is still being written, or too long: it is no line. */
  let isWhole = false
  for (let position = end; position > floor; ) {
    const start = Math.max(floor, position - pieceBytes)
    const piece = await readAt(file, start, position - start)
    let until = piece.length
    for (let feed = piece.lastIndexOf(10); feed !== -1; feed = before(piece, feed)) {
      const bytes = Buffer.concat([piece.subarray(feed + 1, until), rest])
      rest = Buffer.alloc(0)
      if (isWhole && bytes.length > 0) yield { start: start + feed + 1, bytes }
      isWhole = true
      until = feed
    }
    rest = Buffer.concat([piece.subarray(0, until), rest])
    if (rest.length > lineBytesMax) {
      rest = Buffer.alloc(0)
      isWhole = false
    }
    position = start
  }
  if (floor === 0 && isWhole && rest.length > 0) yield { start: 0, bytes: rest }
}

/** The line feed before this one; -1: none. (`lastIndexOf` counts negative offsets from the end.) */
function before(piece: Buffer, feed: number): number {
  return feed === 0 ? -1 : piece.lastIndexOf(10, feed - 1)
}

async function readAt(file: FileHandle, start: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, start)
  return buffer.subarray(0, bytesRead)
}

function parseLine(bytes: Buffer): AuditFields | undefined {
  try {
    const fields: unknown = JSON.parse(bytes.toString('utf8'))
    const isOurs = typeof fields === 'object' && fields !== null && 'event' in fields
    return isOurs && fields.event === 'audit' ? { ...fields } : undefined
  } catch {
    return undefined
  }
}

/** A file is known by its first line, which stays when others are appended: no two are alike. */
async function markOf(file: FileHandle): Promise<string> {
  const head = await readAt(file, 0, markBytesMax)
  const feed = head.indexOf(10)
  const first = feed === -1 ? head : head.subarray(0, feed)
  return createHash('sha256').update(first).digest('hex').slice(0, 12)
}

function parseCursor(text: string): { mark: string; offset: number } | undefined {
  const [, mark, offset] = /^([0-9a-f]{12})-(\d{1,15})$/.exec(text) ?? []
  return mark === undefined ? undefined : { mark, offset: Number(offset) }
}
