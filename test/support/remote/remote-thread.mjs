/**
 * @module Bin and inventory on a store of objects behind HTTP (`object-server.ts`), in any thread. Plain
 * JavaScript, because worker threads run what is compiled.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { blobPath, blobPaths } from '../../../dist/src/blobs/files/layout.js'
import { algorithmOf, parseDigest } from '../../../dist/src/registry/digest.js'
import { createHasher } from '../../../dist/src/registry/hasher.js'

const readBytes = 256 * 1024

/** Keys of one answer to a list: few, so that tests see several. */
const keysPerPage = 8

/** Behind every key that begins so. */
const behind = '~'

export class RemoteClient {
  constructor(url) {
    this.url = url
  }

  #ask(key, options) {
    return fetch(`${this.url}/${encodeURIComponent(key)}`, options)
  }

  async head(key) {
    const answer = await this.#ask(key, { method: 'HEAD' })
    if (answer.status === 404) return undefined
    return {
      sizeBytes: Number(answer.headers.get('x-size')),
      version: answer.headers.get('etag'),
      storedAt: Number(answer.headers.get('x-stored-at')),
    }
  }

  /** Bytes from `offset` on, at most `length`; undefined when there is no such object. */
  async get(key, offset, length) {
    const headers = { Range: `bytes=${offset}-${offset + length - 1}` }
    const answer = await this.#ask(key, { headers })
    const bytes = new Uint8Array(await answer.arrayBuffer())
    return answer.status === 404 ? undefined : bytes
  }

  async put(key, bytes) {
    const answer = await this.#ask(key, { method: 'PUT', body: bytes })
    await answer.arrayBuffer()
    if (answer.status !== 200) throw new Error(`PUT ${key}: ${answer.status}`)
  }

  /** False when there is nothing to copy. */
  async copy(from, to) {
    const answer = await this.#ask(to, { method: 'PUT', headers: { 'X-Copy-From': from } })
    await answer.arrayBuffer()
    return answer.status === 200
  }

  async remove(key) {
    await (await this.#ask(key, { method: 'DELETE' })).arrayBuffer()
  }

  async list(prefix, after, limit) {
    const query = new URLSearchParams({ prefix, after, limit: String(limit) })
    return (await fetch(`${this.url}/?${query}`)).json()
  }
}

const inService = (digest) => `blobs/${digest}`
const inTrash = (digest) => `trash/${digest}`

/** No rename: each way is a copy and a removal, and a crash may come between the two. */
class RemoteBin {
  constructor(client) {
    this.client = client
  }

  trash(digests) {
    return eachOf(digests, async (digest) => {
      const isThere = await this.client.copy(inService(digest), inTrash(digest))
      if (!isThere) throw new Error(`${digest} is not in service`)
      await this.client.remove(inService(digest))
    })
  }

  async restore(digest, sizeBytes) {
    const trashed = await this.client.head(inTrash(digest))
    if (trashed?.sizeBytes === sizeBytes) {
      await this.client.copy(inTrash(digest), inService(digest))
      await this.client.remove(inTrash(digest))
      return true
    }
    return (await this.client.head(inService(digest)))?.sizeBytes === sizeBytes
  }

  purge(digests, { inPlace }) {
    return eachOf(digests, async (digest) => {
      await this.client.remove(inTrash(digest))
      if (inPlace) await this.client.remove(inService(digest))
    })
  }

  async remove(digest) {
    await this.client.remove(inService(digest))
  }

  async quarantine(digest) {
    await this.client.copy(inService(digest), `quarantine/${digest}`)
    await this.client.remove(inService(digest))
  }
}

async function eachOf(digests, act) {
  const failed = []
  let error
  for (const digest of digests) {
    await act(digest).catch((reason) => {
      failed.push(digest)
      error ??= reason
    })
  }
  return { failed, error }
}

class RemoteInventory {
  constructor(client) {
    this.client = client
  }

  async stat(digest) {
    const found = await this.client.head(inService(digest))
    return found && { sizeBytes: found.sizeBytes, version: found.version }
  }

  async check(digest, { onRead } = {}) {
    const object = await this.stat(digest)
    if (object === undefined) return { is: 'missing' }
    const hasher = createHasher(algorithmOf(digest))
    let done = 0
    while (done < object.sizeBytes) {
      const bytes = await this.client.get(inService(digest), done, readBytes)
      if (bytes === undefined) return { is: 'missing' }
      hasher.update(bytes)
      done += bytes.byteLength
      if (onRead !== undefined && !(await onRead(bytes.byteLength))) return { is: 'stopped' }
    }
    const actual = hasher.digest()
    return { is: actual === digest ? 'genuine' : 'damaged', object, actual, readBytes: done }
  }

  /** Where nothing changed is not known here: everything is listed. A page is a range. */
  async *list({ after = '' } = {}) {
    let start = after === '' ? '' : after + behind
    let last = after === '' ? '' : inService(after)
    while (true) {
      const page = await this.client.list('blobs/', last, keysPerPage)
      const names = page.map(({ key }) => key.slice('blobs/'.length))
      const end = page.length < keysPerPage ? '\u{10ffff}' : names.at(-1) + behind
      yield {
        start,
        end,
        digests: names.filter((name) => parseDigest(name).ok),
        foreign: names.filter((name) => !parseDigest(name).ok),
      }
      if (page.length < keysPerPage) return
      last = page.at(-1).key
      start = end
    }
  }

  async isEmpty() {
    return (await this.client.list('blobs/', '', 1)).length === 0
  }

  async *listUploads() {
    for (const { key, sizeBytes, at } of await this.client.list('uploads/', '', 1_000_000)) {
      yield { id: key.slice('uploads/'.length), sizeBytes, changedAt: at }
    }
  }

  async statUpload(id) {
    const found = await this.client.head(`uploads/${id}`)
    return found && { sizeBytes: found.sizeBytes, changedAt: found.storedAt }
  }

  async copyTo(storagePath, digest) {
    const object = await this.stat(digest)
    if (object === undefined) return 'missing'
    const path = blobPath(blobPaths(storagePath), digest)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, await this.client.get(inService(digest), 0, object.sizeBytes + 1))
    return 'copied'
  }

  locate(digest = '') {
    return `${this.client.url}/${inService(digest)}`
  }
}

export function openBin({ at }) {
  return new RemoteBin(new RemoteClient(at))
}

export function openInventory({ at }) {
  return new RemoteInventory(new RemoteClient(at))
}
