/**
 * @module How much the disk has left. Asked in the background once a second, so that a push is
 * refused before the disk is full and without waiting for an answer.
 */
import { statfs } from 'node:fs/promises'
import { RegistryError } from '../../registry/errors.ts'
import type { Room } from '../port.ts'

/** How often the file system is asked, ms. */
const askEveryMs = 1_000

export class DiskRoom implements Room {
  readonly #path: string
  readonly #reserveBytes: number
  #freeBytes = Number.POSITIVE_INFINITY
  #totalBytes: number | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(path: string, reserveBytes: number) {
    this.#path = path
    this.#reserveBytes = reserveBytes
  }

  /** Asks for the first time, then every second until `stop`. */
  async start(): Promise<void> {
    await this.#ask()
    this.#timer = setInterval(() => void this.#ask(), askEveryMs)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** As of the last second. */
  get freeBytes(): number {
    return this.#freeBytes
  }

  get totalBytes(): number | undefined {
    return this.#totalBytes
  }

  get reserveBytes(): number {
    return this.#reserveBytes
  }

  get hasRoom(): boolean {
    return this.#freeBytes > this.#reserveBytes
  }

  require(): void {
    if (this.hasRoom) return
    throw new RegistryError('DISK_LOW')
  }

  /** A file system that cannot be asked is taken to have room: writes tell the truth soon enough. */
  async #ask(): Promise<void> {
    try {
      const { bavail, blocks, bsize } = await statfs(this.#path)
      this.#freeBytes = bavail * bsize
      this.#totalBytes = blocks * bsize
    } catch {
      this.#freeBytes = Number.POSITIVE_INFINITY
    }
  }
}
