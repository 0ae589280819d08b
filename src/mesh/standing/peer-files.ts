/**
 * @module Files of blobs from the peers of a node whose server does not ask for them: a command beside it, with the
 * identity that the node keeps on its disk. Peers answer it as they answer the node.
 */
import { join } from 'node:path'
import { writeFetched } from '../../blobs/files/fetched.ts'
import { systemTime } from '../../metadata/log/etcd/time.ts'
import type { Digest } from '../../registry/digest.ts'
import type { FileSource, MemberPlace } from '../../storage/file-source.ts'
import { type AskParts, AskPeers } from '../blobs/ask.ts'
import { IdentityFolder } from '../identity/kept.ts'
import { MeshError } from '../identity/problem.ts'
import { PeerClient } from '../peers/client.ts'

/** Members that did not answer so often, one time after the other, are asked no more. */
const silentMax = 3

export class PeerFiles implements FileSource {
  readonly #ask: Pick<AskPeers, 'open'>
  readonly #members: readonly number[]
  readonly #silent = new Map<number, number>()
  readonly #onClose: () => void

  /** `members`: those that are asked, one after the other. */
  constructor(
    peers: AskParts['peers'],
    members: readonly number[],
    onClose: () => void = () => undefined,
  ) {
    this.#ask = new AskPeers({ peers, time: systemTime })
    this.#members = members
    this.#onClose = onClose
  }

  /** Rejects with what the disk throws. */
  async bring(storagePath: string, digest: Digest, sizeBytes: number): Promise<boolean> {
    for (const member of this.#members) {
      if ((this.#silent.get(member) ?? 0) >= silentMax) continue
      if (await this.#bringFrom(member, { storagePath, digest, sizeBytes })) return true
    }
    return false
  }

  close(): void {
    this.#onClose()
  }

  async #bringFrom(
    member: number,
    to: { readonly storagePath: string; readonly digest: Digest; readonly sizeBytes: number },
  ): Promise<boolean> {
    const { storagePath, digest, sizeBytes } = to
    try {
      const { body, sizeBytes: said } = await this.#ask.open(member, digest, 0)
      this.#silent.delete(member)
      if (said === sizeBytes) {
        await writeFetched(storagePath, digest, sizeBytes, (onChunk) => body.read(onChunk))
        return true
      }
      body.abort()
    } catch (error) {
      // What is wrong with the disk would be so with the next member.
      if (isOfDisk(error)) throw error
      const isSilent = error instanceof MeshError && error.problem === 'silent'
      if (isSilent) this.#silent.set(member, (this.#silent.get(member) ?? 0) + 1)
    }
    return false
  }
}

/** As the node whose store is at `path`; undefined: it is no member. */
export async function openPeerFiles(
  path: string,
  members: readonly MemberPlace[],
): Promise<PeerFiles | undefined> {
  const folder = new IdentityFolder(join(path, 'mesh'))
  const identity = await folder.identity()
  if (identity === undefined) return undefined
  const { cluster, member, authority, certificate, log } = identity
  const { privateKey } = await folder.key()
  const credentials = { cluster, member, authority, certificate, privateKey }
  const parts = { credentials: () => credentials, log: () => log, time: systemTime }
  const others = members.filter(({ number }) => number !== member)
  const clients = new Map(
    others.map(({ number, address }) => {
      return [number, new PeerClient({ ...parts, peer: { member: number, address } })]
    }),
  )
  const client = (number: number) => clients.get(number)!
  const numbers = others.map(({ number }) => number)
  return new PeerFiles({ client }, numbers, () => {
    for (const one of clients.values()) one.close()
  })
}

function isOfDisk(error: unknown): boolean {
  return !(error instanceof MeshError) && (error as NodeJS.ErrnoException).syscall !== undefined
}
