/**
 * @module Files of blobs that other nodes of a mesh have, for work on a store outside of its server: what that needs of
 * them, as a port.
 */
import type { Digest } from '../registry/digest.ts'

/** A member that has not left, and where it is reached: `host:port`. */
export interface MemberPlace {
  readonly number: number
  readonly address: string
}

export interface FileSource {
  /** Puts the file into the store in files at `storagePath`, durable when it resolves. False: no member gives it. */
  bring(storagePath: string, digest: Digest, sizeBytes: number): Promise<boolean>
  close(): void
}

/** Undefined: the store at `path` has no identity with which peers answer it. */
export type OpenFileSource = (
  path: string,
  members: readonly MemberPlace[],
) => Promise<FileSource | undefined>
