/**
 * @module The folder of a trust store: files of certificates, PEM or DER, read again when one of them changes.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Files of one store, and the size of one, bytes. */
const filesMax = 256
const fileBytesMax = 256 * 1024

/** Certificates of one store. */
const certificatesMax = 512

const lookEveryMs = 1_000

const pemBegins = '-----BEGIN CERTIFICATE-----'
const pemEnds = '-----END CERTIFICATE-----'

/** The certificates of a folder in DER, in the order of its files. Throws with what is wrong. */
export async function readStore(path: string): Promise<Buffer[]> {
  const names = (await readdir(path)).filter((name) => !name.startsWith('.')).sort()
  if (names.length > filesMax) throw new Error(`${path} has more than ${filesMax} files`)
  const all: Buffer[] = []
  for (const name of names) {
    const file = join(path, name)
    const { size } = await stat(file)
    if (size > fileBytesMax) throw new Error(`${file} has more than ${fileBytesMax} bytes`)
    all.push(...certificatesIn(await readFile(file)))
    if (all.length > certificatesMax) {
      throw new Error(`${path} has more than ${certificatesMax} certificates`)
    }
  }
  if (all.length === 0) throw new Error(`${path} has no certificate`)
  return all
}

/** All of a PEM file, or the whole file as DER. */
function certificatesIn(bytes: Buffer): Buffer[] {
  const text = bytes.toString('latin1')
  if (!text.includes('-----BEGIN')) return [bytes]
  if (text.includes('PRIVATE KEY-----')) {
    throw new Error('a store has certificates only; this is a private key, which belongs elsewhere')
  }
  const [, ...parts] = text.split(pemBegins)
  return parts.flatMap((part) => {
    const end = part.indexOf(pemEnds)
    return end < 0 ? [] : [Buffer.from(part.slice(0, end), 'base64')]
  })
}

export interface WatchedStoreOptions {
  readonly path: string
  /** Takes the certificates. A throw is told to `onProblem`. */
  readonly onContent: (certificates: readonly Buffer[]) => void
  /** Told once for each state of the folder that cannot be used. */
  readonly onProblem: (error: Error) => void
}

export class WatchedStore {
  readonly #options: WatchedStoreOptions
  #seen = ''
  #problem = ''
  #timer: NodeJS.Timeout | undefined
  #isStopped = false
  #looking: Promise<void> | undefined

  constructor(options: WatchedStoreOptions) {
    this.#options = options
  }

  /**
   * Reads the folder for the first time, and then watches it. Rejects when it cannot be used; with `isOptional` it
   * tells that to `onProblem` instead, and goes on looking.
   */
  async start({ isOptional = false } = {}): Promise<void> {
    if (isOptional) await this.look()
    else await this.#read()
    if (this.#isStopped) return
    this.#timer = setInterval(() => void this.look(), lookEveryMs)
    this.#timer.unref()
  }

  stop(): void {
    this.#isStopped = true
    clearInterval(this.#timer)
  }

  /** Looks now. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #look(): Promise<void> {
    try {
      await this.#read()
      this.#problem = ''
    } catch (error) {
      const problem = error instanceof Error ? error : new Error(String(error))
      this.#seen = ''
      if (problem.message === this.#problem) return
      this.#problem = problem.message
      this.#options.onProblem(problem)
    }
  }

  async #read(): Promise<void> {
    const { path, onContent } = this.#options
    const identity = await this.#identity()
    if (identity === this.#seen) return
    const certificates = await readStore(path)
    onContent(certificates)
    // Changed while it was read: the next look reads it again.
    if ((await this.#identity()) === identity) this.#seen = identity
  }

  async #identity(): Promise<string> {
    const { path } = this.#options
    const names = (await readdir(path)).sort().slice(0, filesMax + 1)
    const states = names.map(async (name) => {
      const { ino, size, mtimeNs, ctimeNs } = await stat(join(path, name), { bigint: true })
      return `${name} ${ino} ${size} ${mtimeNs} ${ctimeNs}`
    })
    return (await Promise.all(states)).join('\n')
  }
}
