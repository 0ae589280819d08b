/**
 * @module What a node knows of itself, in files below its storage: its key, made once; which member of which
 * cluster it is, with its certificate; and what it needs to found a cluster, until that is done. A file is there
 * whole or as it was before.
 */
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { type MemberKey, makeMemberKey } from './authority.ts'

/** Longest file, bytes. */
const fileBytesMax = 64 * 1024

const text = v.string()
const number = v.pipe(v.number(), v.safeInteger(), v.minValue(1))

const Identity = v.strictObject({
  cluster: text,
  member: number,
  /** Where the other nodes reach it: `host:port`. */
  advertise: text,
  /** Identity of the log, and where it was reached last. */
  log: text,
  endpoints: v.array(text),
  /** PEM. */
  authority: text,
  certificate: text,
  /** Whether it has a view: a node that joins takes one from a peer first. */
  hasView: v.boolean(),
})

const Founding = v.strictObject({
  cluster: text,
  /** Certificate as PEM; key as PKCS #8 in DER, sealed by the secret of the mesh, in base64. */
  authority: text,
  sealedKey: text,
})

const Vote = v.strictObject({
  /** Where the node is reached that has it. */
  founder: text,
  /** Among which nodes it was given. */
  founders: v.array(text),
})

export type KeptVote = v.InferOutput<typeof Vote>
export type KeptIdentity = v.InferOutput<typeof Identity>
export type KeptFounding = v.InferOutput<typeof Founding>

/** Throws what the disk throws, and an Error that names the file for one that cannot be read. */
export class IdentityFolder {
  readonly #path: string
  /** One after the other: two at once would write into one file before it has its name. */
  #writing: Promise<unknown> = Promise.resolve()

  constructor(path: string) {
    this.#path = path
  }

  /** Files of the identity for other programs, as they are now on the disk. */
  get files(): { readonly ca: string; readonly cert: string; readonly key: string } {
    const at = (name: string) => join(this.#path, name)
    return { ca: at('authority.crt'), cert: at('node.crt'), key: at('node.key') }
  }

  /** The key of this node: the same in every run. On the disk when it resolves. */
  async key(): Promise<MemberKey> {
    const there = await this.#read('node.key')
    if (there === undefined) {
      const made = makeMemberKey()
      await this.#write('node.key', made.privateKey)
      return made
    }
    const key = createPrivateKey(there)
    const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' })
    return { privateKey: there, publicKey }
  }

  /** Undefined: it is no member yet. */
  identity(): Promise<KeptIdentity | undefined> {
    return this.#parsed('node.json', Identity)
  }

  /** On the disk when it resolves. */
  async setIdentity(identity: KeptIdentity): Promise<void> {
    await this.#write('authority.crt', identity.authority)
    await this.#write('node.crt', identity.certificate)
    // Last: who reads it finds the others.
    await this.#write('node.json', JSON.stringify(identity))
    await rm(join(this.#path, 'founding.json'), { force: true })
    await rm(join(this.#path, 'vote.json'), { force: true })
  }

  /** Undefined: it has not begun to found a cluster, or that is done. */
  founding(): Promise<KeptFounding | undefined> {
    return this.#parsed('founding.json', Founding)
  }

  /** On the disk when it resolves. */
  setFounding(founding: KeptFounding): Promise<void> {
    return this.#write('founding.json', JSON.stringify(founding))
  }

  /** Undefined: it has given its vote for a founder to no node, or is a member since. */
  vote(): Promise<KeptVote | undefined> {
    return this.#parsed('vote.json', Vote)
  }

  /** On the disk when it resolves. */
  setVote(vote: KeptVote): Promise<void> {
    return this.#write('vote.json', JSON.stringify(vote))
  }

  /** Whether it was asked to leave its mesh, and has not. */
  async isLeaving(): Promise<boolean> {
    return (await this.#read('leaving')) !== undefined
  }

  /** On the disk when it resolves. */
  async setLeaving(isLeaving: boolean): Promise<void> {
    if (isLeaving) await this.#write('leaving', '')
    else await rm(join(this.#path, 'leaving'), { force: true })
  }

  /** Certificates alone, for a founder whose etcd is to start before it is a member. */
  async setCertificates(authority: string, certificate: string): Promise<void> {
    await this.#write('authority.crt', authority)
    await this.#write('node.crt', certificate)
  }

  async #parsed<T>(name: string, schema: v.GenericSchema<unknown, T>): Promise<T | undefined> {
    const there = await this.#read(name)
    if (there === undefined) return undefined
    try {
      return v.parse(schema, JSON.parse(there))
    } catch (error) {
      const path = join(this.#path, name)
      throw new Error(`${path} cannot be read; restore it from a backup`, { cause: error })
    }
  }

  async #read(name: string): Promise<string | undefined> {
    const path = join(this.#path, name)
    const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (bytes !== undefined && bytes.byteLength > fileBytesMax) {
      throw new Error(`${path} is longer than any that this program writes`)
    }
    return bytes?.toString('utf8')
  }

  #write(name: string, content: string): Promise<void> {
    const next = this.#writing.then(() => this.#replace(name, content))
    this.#writing = next.catch(() => undefined)
    return next
  }

  async #replace(name: string, content: string): Promise<void> {
    await mkdir(this.#path, { recursive: true, mode: 0o700 })
    const path = join(this.#path, name)
    const file = await open(`${path}.next`, 'w', 0o600)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(`${path}.next`, path)
    const folder = await open(this.#path, 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  }
}
