/**
 * @module The folder of a node's etcd, and what it says of the past:
 *
 *   data/         etcd's own
 *   member.json   which member it is, and whether it has ever served
 *   etcd.pid      the process that runs, or ran, with the time of its start
 */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Beginning, EtcdMemberSettings } from './flags.ts'
import { EtcdRefusedError } from './program.ts'

/**
 * `starting`: it may never have served, and the data may be half made. `started`: it has.
 * `removed`: etcd has removed it, and the data is to go.
 */
export interface MemberMark {
  readonly state: 'starting' | 'started' | 'removed'
  readonly name: string
  readonly peerUrl: string
}

const MARK_BYTES_MAX = 16 * 1024

export class MemberFolder {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  get dataDir(): string {
    return join(this.path, 'data')
  }

  get pidFile(): string {
    return join(this.path, 'etcd.pid')
  }

  get #markFile(): string {
    return join(this.path, 'member.json')
  }

  /** Whether etcd has ever begun to write there. */
  async hasData(): Promise<boolean> {
    const names = await readdir(join(this.dataDir, 'member', 'wal')).catch(absent)
    return names?.some((name) => name.endsWith('.wal')) ?? false
  }

  /** Undefined when there is none. Rejects with `data` for one that cannot be read. */
  async mark(): Promise<MemberMark | undefined> {
    const text = await readFile(this.#markFile, 'utf8').catch(absent)
    if (text === undefined) return undefined
    const mark = text.length > MARK_BYTES_MAX ? undefined : parse(text)
    if (isMark(mark)) return mark
    throw new EtcdRefusedError(
      'data',
      `${this.#markFile} cannot be read. Restore it, or remove this member.`,
    )
  }

  /** Resolves when the mark is on the disk. */
  async setMark(mark: MemberMark): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: 0o700 })
    const next = `${this.#markFile}.next`
    const file = await open(next, 'w', 0o600)
    try {
      await file.writeFile(JSON.stringify(mark))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(next, this.#markFile)
    const folder = await open(this.path, 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  }

  /** Forgets the member: etcd has removed it, and its data is of no use to it any more. */
  async clear(): Promise<void> {
    const mark = await this.mark()
    if (mark !== undefined) await this.setMark({ ...mark, state: 'removed' })
    // The mark goes last: data without it would be a stranger's.
    await rm(this.dataDir, { recursive: true, force: true })
    await rm(this.#markFile, { force: true })
  }
}

/** What is known when a member is to start. */
export interface Past {
  readonly mark: MemberMark | undefined
  readonly hasData: boolean
  /** The node's own rows say that it had a role in this etcd, which it did not lose since. */
  readonly isKnown: boolean
}

/**
 * How the member begins; `wanted` is how it would with an empty folder. Throws EtcdRefusedError `data` where
 * the data of a member is gone that etcd counts on: with an empty folder it would found a second etcd, or
 * forget what it voted for.
 */
export function beginningOf(
  { name, peerUrl, folder }: EtcdMemberSettings,
  wanted: Beginning,
  { mark, hasData, isKnown }: Past,
): Beginning {
  const refuse = (why: string) =>
    new EtcdRefusedError(
      'data',
      `${why} (${folder}). Restore the folder, or remove this member from the mesh and let it join again; ` +
        'when etcd is lost on most nodes, see "What if etcd is lost for good?" in docs/mesh.md.',
    )
  if (mark !== undefined && (mark.name !== name || mark.peerUrl !== peerUrl)) {
    throw refuse(
      `The folder of etcd is of the member ${mark.name} at ${mark.peerUrl}, not of ${name} at ${peerUrl}`,
    )
  }
  if (hasData) {
    if (mark === undefined) throw refuse('The folder of etcd has data of another program')
    // Of a member that was never up, the beginning is not over: the same flags again.
    return mark.state === 'started' || wanted.kind === 'resume' ? { kind: 'resume' } : wanted
  }
  if (mark?.state === 'started' || isKnown || wanted.kind === 'resume') {
    throw refuse('The data of this member of etcd is gone')
  }
  if (wanted.kind === 'join') {
    const self = wanted.listed.find(({ peerUrls }) => peerUrls.includes(peerUrl))
    if (self === undefined) throw refuse(`etcd does not know a member at ${peerUrl}`)
    // Its name is known to etcd from its first start on.
    if (self.name !== '') throw refuse(`etcd knows the member ${self.name}, whose data is gone`)
  }
  return wanted
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
  return undefined
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isMark(value: unknown): value is MemberMark {
  if (typeof value !== 'object' || value === null) return false
  const { state, name, peerUrl } = value as Partial<Record<keyof MemberMark, unknown>>
  const isState = state === 'starting' || state === 'started' || state === 'removed'
  return isState && typeof name === 'string' && typeof peerUrl === 'string'
}
