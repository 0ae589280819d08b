/**
 * @module A driver of blobs on a slow store of objects behind HTTP: everything that a file is and such
 * a store is not. For tests only: it proves that nothing above the port counts on files.
 */
import {
  type BlobDriver,
  type DriverReader,
  type DriverWriter,
  openBin,
  openInventory,
  type Promised,
} from '../../../src/blobs/driver.ts'
import {
  type BlobSource,
  damage,
  type GrowingBlob,
  type OpenFile,
  type Room,
} from '../../../src/blobs/port.ts'
import { type Algorithm, algorithmOf, type Digest } from '../../../src/registry/digest.ts'
import { storageFault } from '../../../src/registry/disk-fault.ts'
import { RegistryError } from '../../../src/registry/errors.ts'
import { digestOf } from '../../../src/registry/hasher.ts'
import { ObjectServer } from './object-server.ts'
import { RemoteClient } from './remote-thread.mjs'

/** What a reader fetches at once, bytes: an odd number, so that no window fits another's. */
const windowBytes = 131_101

export interface SlowRemote {
  readonly server: ObjectServer
  readonly driver: BlobDriver
  /** Lets lists show everything that was done so far. */
  catchUp(): void
}

/** Starts the store and opens the driver on it; `driver.close` stops both. */
export async function openSlowRemote(seed = 1, isFull = false): Promise<SlowRemote> {
  let state = seed
  let aheadMs = 0
  const listLagMs = 60_000
  const server = await ObjectServer.start({
    delay: (share) => new Promise((resolve) => setTimeout(resolve, share * 3)),
    random: () => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
      return state / 2_147_483_648
    },
    now: () => Date.now() + aheadMs,
    listLagMs,
  })
  const setup = {
    module: new URL('./remote-thread.mjs', import.meta.url).href,
    at: server.url,
  }
  const client = new RemoteClient(server.url)
  return {
    server,
    catchUp: () => {
      aheadMs += listLagMs + 1
    },
    driver: {
      reader: new RemoteReader(client),
      writer: new RemoteWriter(client, isFull),
      bin: await openBin(setup),
      inventory: await openInventory(setup),
      setup,
      probe: async () => void (await client.head('probe')),
      close: () => server.close(),
    },
  }
}

class RemoteReader implements DriverReader {
  readonly #client: RemoteClient
  readonly mappedBytes = 0
  readonly kind = 'remote'
  readonly slowBecause = undefined

  constructor(client: RemoteClient) {
    this.#client = client
  }

  async open(digest: Digest, { sizeBytes }: Promised): Promise<BlobSource> {
    const key = `blobs/${digest}`
    const found = await this.#client.head(key)
    if (found?.sizeBytes !== sizeBytes) {
      throw damage(`object holds ${found?.sizeBytes}`)
    }
    return new RemoteSource(sizeBytes, (offset, length) => this.#client.get(key, offset, length))
  }

  async read(digest: Digest, { sizeBytes }: Promised): Promise<Uint8Array> {
    const source = await this.open(digest, { sizeBytes, createdAt: 0 })
    source.close()
    const bytes = await this.#client.get(`blobs/${digest}`, 0, sizeBytes)
    if (bytes?.byteLength !== sizeBytes) throw damage(`object holds ${bytes?.byteLength}`)
    return bytes
  }

  isRead(): boolean {
    return false
  }

  forget(): void {}
}

type Fetch = (offset: number, length: number) => Promise<Uint8Array | undefined>

class RemoteSource implements BlobSource {
  readonly sizeBytes: number
  readonly #fetch: Fetch
  #window = new Uint8Array(0) as Uint8Array
  #start = 0

  constructor(sizeBytes: number, fetchBytes: Fetch) {
    this.sizeBytes = sizeBytes
    this.#fetch = fetchBytes
  }

  ready(offset: number, length: number): number | Promise<void> {
    const inWindow = offset - this.#start
    if (inWindow >= 0 && inWindow < this.#window.byteLength) {
      return Math.min(length, this.#window.byteLength - inWindow)
    }
    return this.#fill(offset, Math.min(length, windowBytes))
  }

  async #fill(offset: number, length: number): Promise<void> {
    const bytes = await this.#fetch(offset, length)
    if (bytes === undefined || bytes.byteLength === 0) throw new Error('the object is gone')
    this.#window = bytes
    this.#start = offset
  }

  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R {
    const start = offset - this.#start
    return callback(this.#window.subarray(start, start + length))
  }

  close(): void {}
}

class RemoteWriter implements DriverWriter {
  readonly #client: RemoteClient
  readonly room: Room
  readonly isOverBudget = false
  /** Where the bytes of uploads are that were opened by readers: they may become blobs meanwhile. */
  readonly #keys = new Map<string, string>()

  constructor(client: RemoteClient, isFull: boolean) {
    this.#client = client
    this.room = {
      freeBytes: isFull ? 0 : Number.POSITIVE_INFINITY,
      reserveBytes: 0,
      hasRoom: !isFull,
      require: () => {
        if (isFull) throw new RegistryError('DISK_LOW')
      },
    }
  }

  adopt(uploadId: string, algorithm: Algorithm, offsetBytes: number): GrowingBlob {
    return this.grow(uploadId, algorithm, offsetBytes)
  }

  grow(uploadId: string, _algorithm: Algorithm, offsetBytes: number): GrowingBlob {
    this.#keys.set(uploadId, `uploads/${uploadId}`)
    return new RemoteUpload(this.#client, uploadId, offsetBytes, (digest) => {
      this.#keys.set(uploadId, `blobs/${digest}`)
    })
  }

  async openGrowing(uploadId: string, sizeBytes: number): Promise<OpenFile> {
    const read: Fetch = (offset, length) =>
      this.#client.get(this.#keys.get(uploadId)!, offset, length)
    return { lend: () => new RemoteSource(sizeBytes, read), close: () => undefined }
  }

  async discardFile(uploadId: string): Promise<void> {
    await this.#client.remove(`uploads/${uploadId}`)
  }
}

/** No append: an upload is stored again as a whole whenever it is settled. */
class RemoteUpload implements GrowingBlob {
  readonly #client: RemoteClient
  readonly #key: string
  readonly #onCommitted: (digest: Digest) => void
  /** Everything so far; what an earlier worker stored is fetched before anything is stored. */
  #bytes: Buffer
  #earlier: Promise<Buffer> | undefined
  #working: Promise<void> = Promise.resolve()
  #onWritten: ((isBroken: boolean) => void) | undefined
  #markedBytes = 0
  #isGone = false
  writtenBytes: number

  constructor(
    client: RemoteClient,
    uploadId: string,
    offsetBytes: number,
    onCommitted: (digest: Digest) => void,
  ) {
    this.#client = client
    this.#key = `uploads/${uploadId}`
    this.#onCommitted = onCommitted
    this.writtenBytes = offsetBytes
    this.#bytes = Buffer.alloc(offsetBytes)
    if (offsetBytes > 0) this.#earlier = this.#fetchEarlier(offsetBytes)
    this.#earlier?.catch(() => undefined)
  }

  async #fetchEarlier(offsetBytes: number): Promise<Buffer> {
    const bytes = await this.#client.get(this.#key, 0, offsetBytes)
    if (bytes?.byteLength !== offsetBytes) {
      throw damage('upload is too short')
    }
    return Buffer.from(bytes)
  }

  get offsetBytes(): number {
    return this.#bytes.byteLength
  }

  heldAt(offset: number): Uint8Array | undefined {
    const held = this.#bytes.subarray(Math.max(offset, this.writtenBytes))
    return offset < this.writtenBytes || held.byteLength === 0 ? undefined : held
  }

  onWritten(listener: (isBroken: boolean) => void): void {
    this.#onWritten = listener
  }

  append(bytes: Uint8Array): void {
    if (this.#isGone) throw storageFault(new Error('upload was let go'))
    this.#bytes = Buffer.concat([this.#bytes, bytes])
    if (this.#onWritten !== undefined) void this.#store().catch(() => this.#onWritten?.(true))
  }

  give(bytes: Uint8Array): void {
    this.append(bytes)
  }

  mustPause(): boolean {
    return false
  }

  settle(): Promise<void> {
    return this.#store()
  }

  /** One after the other, so that no older state replaces a newer one. */
  #store(): Promise<void> {
    const storing = this.#working.then(async () => {
      await this.#fetched()
      const bytes = this.#bytes
      await this.#client.put(this.#key, bytes)
      if (bytes.byteLength <= this.writtenBytes) return
      this.writtenBytes = bytes.byteLength
      this.#onWritten?.(false)
    })
    this.#working = storing.catch(() => undefined)
    return storing.catch((error: unknown) => {
      throw storageFault(error)
    })
  }

  async #fetched(): Promise<void> {
    const earlier = await this.#earlier
    this.#earlier = undefined
    earlier?.copy(this.#bytes)
  }

  mark(): void {
    this.#markedBytes = this.#bytes.byteLength
  }

  async rollback(): Promise<void> {
    this.#bytes = this.#bytes.subarray(0, this.#markedBytes)
    await this.#store()
    this.writtenBytes = this.#markedBytes
  }

  async verify(digest: Digest): Promise<void> {
    if (this.#isGone) throw storageFault(new Error('upload was let go'))
    await this.#fetched()
    const received = digestOf(algorithmOf(digest), this.#bytes)
    if (received !== digest) throw new RegistryError('DIGEST_MISMATCH', { detail: { received } })
  }

  async commit(digest: Digest): Promise<void> {
    if (this.#isGone) throw storageFault(new Error('upload was let go'))
    await this.#store()
    await this.verify(digest)
    await this.#client.copy(this.#key, `blobs/${digest}`)
    this.#onCommitted(digest)
    this.#isGone = true
    await this.#client.remove(this.#key)
  }

  park(): void {
    this.#isGone = true
  }

  discard(): void {
    this.#isGone = true
    void this.#working.then(() => this.#client.remove(this.#key)).catch(() => undefined)
  }
}
