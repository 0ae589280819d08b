/**
 * @module The disk seam: every call by which blob bytes reach the disk or come back from it outside
 * a mapping. Tests replace single calls (`disk.rename = …`), in the main thread and in workers
 * alike, to see what a short write, a full disk or a broken one does.
 */
import { writeSync } from 'node:fs'
import {
  type FileHandle,
  mkdir,
  open,
  rename as renameFile,
  unlink as unlinkFile,
} from 'node:fs/promises'

export type { FileHandle }

export interface Disk {
  open(path: string, flags: 'r' | 'r+' | 'w+'): Promise<FileHandle>
  /** Writes some of the bytes at `position`; returns how many. */
  write(file: FileHandle, bytes: Uint8Array, position: number): Promise<number>
  /** The same at once, for a thread that has nothing else to do. */
  writeNow(file: FileHandle, bytes: Uint8Array, position: number): number
  /** Reads up to `bytes.length` bytes at `position`; returns how many, 0 at the end. */
  read(file: FileHandle, bytes: Uint8Array, position: number): Promise<number>
  truncate(file: FileHandle, lengthBytes: number): Promise<void>
  /** Returns when the file's bytes are on the disk. */
  flush(file: FileHandle): Promise<void>
  /** Returns when the folder's entries are on the disk. */
  flushFolder(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Removes a file; one that is not there is no error. */
  unlink(path: string): Promise<void>
  makeFolder(path: string): Promise<void>
}

export const disk: Disk = {
  open: (path, flags) => open(path, flags),
  write: async (file, bytes, position) =>
    (await file.write(bytes, 0, bytes.byteLength, position)).bytesWritten,
  writeNow: (file, bytes, position) => writeSync(file.fd, bytes, 0, bytes.byteLength, position),
  read: async (file, bytes, position) =>
    (await file.read(bytes, 0, bytes.byteLength, position)).bytesRead,
  truncate: (file, lengthBytes) => file.truncate(lengthBytes),
  flush: (file) => file.datasync(),
  flushFolder: async (path) => {
    const folder = await open(path, 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  },
  rename: (from, to) => renameFile(from, to),
  unlink: async (path) => {
    await unlinkFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
  },
  makeFolder: async (path) => {
    await mkdir(path, { recursive: true, mode: 0o750 })
  },
}
