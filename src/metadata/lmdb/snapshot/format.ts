/**
 * @module What a snapshot is on its way from one node to another, and where it lies on a disk:
 *
 * ```
 * magic 7 | format 1 | schema version 4 | bytes of the view 6 | length 2, cluster | the view | SHA-256 32
 * ```
 *
 * Numbers have the high byte first; the hash is of everything before it. The view is the one file of an
 * LMDB environment.
 */

const magic = Buffer.from('FRsnap\n', 'latin1')
export const snapshotFormat = 1

/** Bytes of the header before the name of the cluster. */
export const headerStartBytes = 20
export const hashBytes = 32

/** Longest name of a cluster, bytes. */
const clusterBytesMax = 1_024

/** Two pages: less is no environment of LMDB. */
const viewBytesMin = 8_192

export interface SnapshotHeader {
  readonly format: typeof snapshotFormat
  readonly cluster: string
  readonly schemaVersion: number
  /** Of the view: neither header nor hash. */
  readonly sizeBytes: number
}

export type SnapshotProblem =
  /** Another one is under way; later. */
  | 'busy'
  /** The disk has not enough space for it. */
  | 'no-room'
  /** No snapshot, or of another format. */
  | 'format'
  /** Of another cluster. */
  | 'cluster'
  /** Of another version of the tables. */
  | 'schema'
  /** Larger than this node takes. */
  | 'too-large'
  | 'too-short'
  | 'too-long'
  /** Its bytes are not those that were sent. */
  | 'hash'
  /** It was whole, and is no view that opens. */
  | 'view'

/** Why a snapshot was not sent or not taken; `problem` says which way. */
export class SnapshotError extends Error {
  readonly problem: SnapshotProblem

  constructor(problem: SnapshotProblem, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'SnapshotError'
    this.problem = problem
  }
}

/** Throws a RangeError for a name of more than 1,024 bytes. */
export function encodeSnapshotHeader(header: SnapshotHeader): Buffer {
  const cluster = Buffer.from(header.cluster, 'utf8')
  if (cluster.length > clusterBytesMax) throw new RangeError('the name of the cluster is too long')
  const bytes = Buffer.alloc(headerStartBytes + cluster.length)
  magic.copy(bytes)
  bytes[7] = snapshotFormat
  bytes.writeUInt32BE(header.schemaVersion, 8)
  bytes.writeUIntBE(header.sizeBytes, 12, 6)
  bytes.writeUInt16BE(cluster.length, 18)
  cluster.copy(bytes, headerStartBytes)
  return bytes
}

/** What the first 20 bytes say; the name of the cluster has `clusterBytes` and follows them. */
export function decodeHeaderStart(
  bytes: Buffer,
): Omit<SnapshotHeader, 'cluster'> & { readonly clusterBytes: number } {
  const clusterBytes = bytes.readUInt16BE(18)
  if (!bytes.subarray(0, 7).equals(magic) || bytes[7] !== snapshotFormat) {
    throw new SnapshotError('format', 'this is no snapshot of a format that this program knows')
  }
  const sizeBytes = bytes.readUIntBE(12, 6)
  if (clusterBytes > clusterBytesMax || sizeBytes < viewBytesMin) {
    throw new SnapshotError('format', 'the header of the snapshot is damaged')
  }
  return { format: snapshotFormat, schemaVersion: bytes.readUInt32BE(8), sizeBytes, clusterBytes }
}

/** What an environment of LMDB is made of, in its folder. */
export const viewFile = 'data.mdb'
export const lockFile = 'lock.mdb'

export interface SnapshotFolders {
  /** A copy that is being made for a peer. */
  readonly copy: string
  /** What is being received: not whole. */
  readonly part: string
  /** With a view: whole, and to be installed. Without: the view is in its place, the rest is to be done. */
  readonly fresh: string
  /** The view before, until the new one has opened. */
  readonly old: string
}

/** Beside the folder of the metadata, on the same disk. */
export function snapshotFolders(metadata: string): SnapshotFolders {
  return {
    copy: `${metadata}.copy`,
    part: `${metadata}.part`,
    fresh: `${metadata}.new`,
    old: `${metadata}.old`,
  }
}

/** Space of the disk below the metadata, as `DiskRoom` has it. */
export interface SnapshotRoom {
  readonly freeBytes: number
  readonly reserveBytes: number
}

/** Throws a SnapshotError when `sizeBytes` more would take from the reserve. */
export function requireRoomFor(sizeBytes: number, { freeBytes, reserveBytes }: SnapshotRoom): void {
  if (sizeBytes <= freeBytes - reserveBytes) return
  throw new SnapshotError(
    'no-room',
    `a snapshot of up to ${sizeBytes} bytes needs more space than the disk has: ` +
      `${freeBytes} bytes are free, ${reserveBytes} of them are the reserve`,
  )
}
