/**
 * @module What the operators give to each node of a mesh, and what should be the same on all: users, rules, keys, and
 * the settings that decide what the registry says. A node tells the others a hash of each, made with a key of the mesh:
 * it shows whether two nodes have the same, and nothing of what they have.
 */
import { createHash, createHmac } from 'node:crypto'
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../../config/config.ts'
import { systemClock } from '../../runtime/clock.ts'

/** How old hashes may be, ms: files are read for them. */
const keptMs = 5_000
/** Files of one part, bytes of one, and how deep folders are looked into. */
const filesMax = 500
const fileBytesMax = 1024 * 1024
const depthMax = 4

/** By name of the part: 16 hex digits. */
export type Hashes = Readonly<Record<string, string>>

export class Alike {
  readonly #parts: Readonly<Record<string, unknown>>
  readonly #key: () => Uint8Array
  #known: { readonly at: number; readonly hashes: Promise<Hashes> } | undefined

  constructor(parts: Readonly<Record<string, unknown>>, key: () => Uint8Array) {
    this.#parts = parts
    this.#key = key
  }

  /** As files and settings are now, or were some seconds ago. */
  hashes(): Promise<Hashes> {
    const now = systemClock.monotonic()
    if (this.#known === undefined || now - this.#known.at > keptMs) {
      this.#known = { at: now, hashes: this.#read() }
    }
    return this.#known.hashes
  }

  async #read(): Promise<Hashes> {
    const found: [string, string][] = []
    for (const [name, value] of Object.entries(this.#parts)) {
      const files = new FileTexts()
      const text = JSON.stringify(await plain(value, files))
      const mac = createHmac('sha256', this.#key()).update(`${name}\n${text}`).digest('hex')
      found.push([name, mac.slice(0, 16)])
    }
    return Object.fromEntries(found)
  }
}

/** What is compared, by a word for operators. Limits, addresses and folders are of each node. */
export function partsOf(config: Config): Readonly<Record<string, unknown>> {
  const { auth, access, signing, cleanup, policy, mirrors, sync, storage, mesh } = config
  const { htpasswdFile, ...logins } = auth
  const { attest } = signing
  const host = attest.isHostGuessed ? undefined : attest.host
  return {
    users: htpasswdFile,
    access: { ...logins, access },
    // A name that is made of this node's own address is no setting.
    signing: { ...signing, attest: { ...attest, host } },
    cleanup,
    policy,
    mirrors,
    sync,
    mesh: [mesh?.readLeaseMs, storage.inlineLimitBytes],
    'time zone': Intl.DateTimeFormat().resolvedOptions().timeZone,
  }
}

/** The same for equal values: keys in order, and files in the place of their paths, which may differ. */
async function plain(value: unknown, files: FileTexts): Promise<unknown> {
  if (typeof value === 'string') return files.of(value)
  if (typeof value !== 'object' || value === null) return value ?? null
  if (Array.isArray(value)) {
    const items: unknown[] = []
    for (const item of value) items.push(await plain(item, files))
    return items
  }
  const fields: [string, unknown][] = []
  const byName = ([one]: [string, unknown], [other]: [string, unknown]) => (one < other ? -1 : 1)
  for (const [name, field] of Object.entries(value).sort(byName)) {
    fields.push([name, await plain(field, files)])
  }
  return fields
}

/** Hashes of files in the place of their absolute paths; a text that names none stays. */
class FileTexts {
  #left = filesMax

  of(text: string): Promise<unknown> | string {
    return text.startsWith('/') && text.length < 4_096 && !text.includes('\0')
      ? this.#read(text, depthMax)
      : text
  }

  async #read(path: string, depth: number): Promise<unknown> {
    const found = await stat(path).catch(() => undefined)
    this.#left -= 1
    if (found === undefined || this.#left < 0) return { path }
    if (found.isFile()) return { file: await hashOf(path) }
    if (!found.isDirectory() || depth === 0) return { path }
    const names = (await readdir(path).catch(() => [])).sort().slice(0, filesMax)
    const files: unknown[] = []
    for (const name of names) files.push([name, await this.#read(join(path, name), depth - 1)])
    return { files }
  }
}

/** Undefined: it cannot be read. Of a large file the beginning counts, and its length. */
async function hashOf(path: string): Promise<string | undefined> {
  const file = await open(path, 'r').catch(() => undefined)
  if (file === undefined) return undefined
  try {
    const { size } = await file.stat()
    const { bytesRead, buffer } = await file.read(Buffer.alloc(Math.min(size, fileBytesMax)))
    const hash = createHash('sha256').update(buffer.subarray(0, bytesRead))
    return `${size} ${hash.digest('hex')}`
  } catch {
    return undefined
  } finally {
    await file.close()
  }
}
