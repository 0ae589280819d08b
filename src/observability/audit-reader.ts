/**
 * @module Reads the audit trail back, newest line first: from the end of the file in bounded pieces,
 * so that neither memory nor a turn of the event loop grows with the file.
 */
import { type FileHandle, open } from 'node:fs/promises'
import type { AuditRecord } from './audit.ts'

export type AuditLine = AuditRecord & { readonly time: string }

/** Where a page ended: everything before this byte of this file is still to be read. */
export interface AuditPlace {
  readonly inode: number
  readonly offset: number
}

export interface AuditPage {
  readonly lines: readonly AuditLine[]
  /** Undefined at the beginning of the file. */
  readonly next: AuditPlace | undefined
}

export interface AuditQuery {
  readonly fits: (line: AuditLine) => boolean
  /** Lines before this time need not be looked at: the file is in the order of time. */
  readonly since: string | undefined
  readonly limit: number
  /** Undefined: the end of the file. */
  readonly from: AuditPlace | undefined
}

/** Read at once, bytes: their lines are parsed in one turn of the event loop. */
const pieceBytes = 64 * 1024

/** Looked at for one page, bytes; then the page ends, perhaps empty, with a place to go on. */
const scanBytesMax = 32 * 1024 * 1024

/** Longer lines are none of ours. */
const lineBytesMax = 64 * 1024

const newline = 10

/**
 * One page of the file, newest first. Lines that are no JSON object are passed over. Undefined: the
 * place is in a file that is not there any more (the trail was rotated). Throws ENOENT.
 */
export async function readAuditPage(
  path: string,
  query: AuditQuery,
): Promise<AuditPage | undefined> {
  const file = await open(path, 'r')
  try {
    const { ino: inode, size } = await file.stat()
    const { from } = query
    if (from !== undefined && (from.inode !== inode || from.offset > size)) return undefined
    return await new BackwardReader(file, inode, query).read(from?.offset ?? size)
  } finally {
    await file.close()
  }
}

class BackwardReader {
  readonly #file: FileHandle
  readonly #inode: number
  readonly #query: AuditQuery
  readonly #lines: AuditLine[] = []
  readonly #piece = Buffer.allocUnsafe(pieceBytes)
  /** What was read of a line whose beginning is further in front. */
  #rest = Buffer.alloc(0)
  #isTooLong = false
  /** First byte of what is dealt with. */
  #offset = 0
  #isOver = false
  #isTooOld = false

  constructor(file: FileHandle, inode: number, query: AuditQuery) {
    this.#file = file
    this.#inode = inode
    this.#query = query
  }

  async read(end: number): Promise<AuditPage> {
    this.#offset = end
    const stopAt = Math.max(0, end - scanBytesMax)
    let position = end
    while (!this.#isOver && position > stopAt) {
      const start = Math.max(0, position - pieceBytes)
      const piece = this.#piece.subarray(0, position - start)
      const { bytesRead } = await this.#file.read(piece, 0, piece.byteLength, start)
      if (bytesRead < piece.byteLength) break
      this.#takePiece(piece, start)
      position = start
    }
    if (!this.#isOver && position === 0) {
      if (this.#isTooLong) this.#offset = 0
      else this.#takeLine(this.#rest, 0)
    }
    const isAtEnd = this.#offset === 0 || this.#isTooOld
    const next = isAtEnd ? undefined : { inode: this.#inode, offset: this.#offset }
    return { lines: this.#lines, next }
  }

  /** Lines from the last to the first; what is in front of the first newline waits. */
  #takePiece(piece: Buffer, start: number): void {
    let end = piece.byteLength
    while (!this.#isOver) {
      const at = end === 0 ? -1 : piece.lastIndexOf(newline, end - 1)
      const part = piece.subarray(at + 1, end)
      if (at === -1) {
        this.#keep(part, start)
        return
      }
      const line = this.#rest.byteLength === 0 ? part : Buffer.concat([part, this.#rest])
      this.#rest = Buffer.alloc(0)
      if (this.#isTooLong) this.#isTooLong = false
      else this.#takeLine(line, start + at + 1)
      end = at
    }
  }

  #keep(part: Buffer, start: number): void {
    this.#isTooLong ||= this.#rest.byteLength + part.byteLength > lineBytesMax
    // What is passed over is dealt with: the next page begins in front of it.
    if (this.#isTooLong) this.#offset = start
    this.#rest = this.#isTooLong ? Buffer.alloc(0) : Buffer.concat([part, this.#rest])
  }

  #takeLine(bytes: Buffer, start: number): void {
    const line = parseLine(bytes)
    const { since, limit, fits } = this.#query
    if (line !== undefined && since !== undefined && line.time < since) {
      this.#isTooOld = true
      this.#isOver = true
      return
    }
    if (line !== undefined && fits(line)) {
      if (this.#lines.length === limit) {
        this.#isOver = true
        return
      }
      this.#lines.push(line)
    }
    this.#offset = start
  }
}

function parseLine(bytes: Buffer): AuditLine | undefined {
  if (bytes.byteLength === 0) return undefined
  try {
    const line: unknown = JSON.parse(bytes.toString('utf8'))
    if (typeof line !== 'object' || line === null) return undefined
    const { event, time } = line as { event?: unknown; time?: unknown }
    return event === 'audit' && typeof time === 'string' ? (line as AuditLine) : undefined
  } catch {
    return undefined
  }
}
