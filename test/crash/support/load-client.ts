/**
 * @module One client of the load: one operation after the other, each decided by its own draw, told
 * to the model before it is sent. Two repositories are this client's alone, so that the model is
 * exact there; one is shared by all, for tags that move under several hands.
 */
import { mediaTypes } from '../../../src/registry/media-type.ts'
import { UploadLoad } from './load-uploads.ts'
import { type CrashModel, type ManifestModel, Pending, type TagModel } from './model.ts'
import { contentOf, Seeded } from './seeded.ts'
import { Killed, Violation, type Wire } from './wire.ts'

const OPERATIONS = {
  pushBlob: 40,
  pushManifest: 22,
  moveTag: 8,
  mount: 7,
  resume: 5,
  pull: 12,
  deleteTag: 4,
  deleteManifest: 3,
  deleteBlob: 4,
} as const

export const sharedRepository = 'shared/images'

/** Repositories that belong to the client of this number. */
export function ownRepositories(client: number): readonly string[] {
  return [`client${client}/app`, `client${client}/team/base`]
}

export class LoadClient {
  readonly #model: CrashModel
  readonly #wire: Wire
  readonly #uploads: UploadLoad
  readonly #client: number
  readonly #clients: number
  readonly #trace: string[]

  constructor(model: CrashModel, wire: Wire, client: number, clients: number, trace: string[]) {
    this.#model = model
    this.#wire = wire
    this.#uploads = new UploadLoad(model, wire)
    this.#client = client
    this.#clients = clients
    this.#trace = trace
  }

  /** Works until the process is killed. `onOperation` hears the number of each before it starts. */
  async run(seed: string, onOperation: (number: number) => void): Promise<void> {
    try {
      for (let number = 0; ; number += 1) {
        onOperation(number)
        await this.#operate(new Seeded(seed, this.#client, number))
      }
    } catch (error) {
      if (!(error instanceof Killed)) throw error
    }
  }

  #operate(random: Seeded): Promise<void> {
    const operation = random.weighted(OPERATIONS)
    this.#trace.push(`${random.path} ${operation}`)
    const own = random.pick(ownRepositories(this.#client))
    const any = random.chance(0.2) ? sharedRepository : own
    switch (operation) {
      case 'pushBlob':
        return this.#uploads.push(random, any)
      case 'pushManifest':
        return this.#pushManifest(random, any)
      case 'moveTag':
        return this.#moveTag(random, any)
      case 'mount':
        return this.#mount(random, own)
      case 'resume':
        return this.#resume(random, own)
      case 'pull':
        return this.#pull(random, own)
      case 'deleteTag':
        return this.#deleteTag(random, any)
      case 'deleteManifest':
        return this.#deleteManifest(random, own)
      case 'deleteBlob':
        return this.#deleteBlob(random, own)
    }
  }

  async #pushManifest(random: Seeded, repository: string): Promise<void> {
    const manifest = this.#composeManifest(random, repository)
    if (manifest === undefined) return this.#uploads.push(random, repository)
    const tags = [0, 1, 2]
      .slice(0, random.between(0, 3))
      .map(() => this.#someTag(random, repository))
    await this.#putManifest(manifest, [...new Set(tags)], random.chance(0.5))
  }

  /** An image of blobs that are there, sometimes with a subject; or an index of images. */
  #composeManifest(random: Seeded, repository: string): ManifestModel | undefined {
    const images = this.#model
      .manifestsIn(repository)
      .filter(({ mediaType }) => mediaType === mediaTypes.ociManifest)
    const older = random.pickNamed(images, ({ digest }) => digest)
    const annotations = { from: random.path }
    const describe = (digest: string, size: number, mediaType: string) => ({
      mediaType,
      digest,
      size,
    })
    if (older !== undefined && random.chance(0.15)) {
      const child = describe(older.digest, older.bytes.length, older.mediaType)
      const index = {
        schemaVersion: 2,
        mediaType: mediaTypes.ociIndex,
        manifests: [child],
        annotations,
      }
      return this.#model.manifest(repository, mediaTypes.ociIndex, index, [older.digest])
    }
    const blobs = this.#model.blobsIn(repository)
    if (blobs.length === 0) return undefined
    const parts = [0, 1, 2].map(() => random.pickNamed(blobs, ({ content }) => content.digest)!)
    const [config, ...layers] = parts.map(({ content }) =>
      describe(content.digest, content.sizeBytes, 'application/octet-stream'),
    )
    const subject =
      older !== undefined && random.chance(0.25)
        ? { subject: describe(older.digest, older.bytes.length, older.mediaType) }
        : {}
    const image = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { ...config, mediaType: 'application/vnd.crash.config' },
      layers,
      ...subject,
      annotations,
    }
    const children = parts.map(({ content }) => content.digest)
    return this.#model.manifest(repository, mediaTypes.ociManifest, image, children)
  }

  /** By tag, or by digest with all tags at once. */
  async #putManifest(
    manifest: ManifestModel,
    tags: readonly TagModel[],
    isByTag: boolean,
  ): Promise<void> {
    const { repository, digest, mediaType, bytes } = manifest
    const named = isByTag ? tags.slice(0, 1) : tags
    const reference = isByTag && named.length === 1 ? named[0]!.tag : digest
    const query = reference === digest ? named.map(({ tag }) => `tag=${tag}`).join('&') : ''
    const target = `/v2/${repository}/manifests/${reference}${query === '' ? '' : `?${query}`}`
    const write = new Pending().begin(manifest.isThere, true)
    for (const { target: register } of named) write.begin(register, digest)
    await this.#wire.ask('PUT', target, [201], {
      headers: { 'Content-Type': mediaType },
      body: bytes,
    })
    write.settle('confirm')
  }

  async #moveTag(random: Seeded, repository: string): Promise<void> {
    const manifests = this.#model.manifestsIn(repository)
    const manifest = random.pickNamed(manifests, ({ digest }) => digest)
    if (manifest === undefined) return this.#uploads.push(random, repository)
    await this.#putManifest(manifest, [this.#someTag(random, repository)], true)
  }

  #someTag(random: Seeded, repository: string): TagModel {
    return this.#model.tag(repository, `v${random.between(1, 6)}`)
  }

  async #mount(random: Seeded, repository: string): Promise<void> {
    const others = Array.from({ length: this.#clients }, (_, client) => ownRepositories(client))
    const from = random.pick([...others.flat(), sharedRepository])
    const blob = random.pickNamed(this.#model.blobsIn(from), ({ content }) => content.digest)
    if (blob === undefined) return this.#uploads.push(random, repository)
    await this.#uploads.mount(repository, blob.content, random.chance(0.7) ? from : undefined)
  }

  async #resume(random: Seeded, repository: string): Promise<void> {
    const sessions = [...this.#model.sessions.values()].filter(
      (session) => session.repository === repository,
    )
    const session = random.pickNamed(sessions, ({ content }) => content.name)
    if (session === undefined) return this.#uploads.push(random, repository)
    await this.#uploads.resume(random, session)
  }

  /** Own repositories only: nobody else changes them between the question and the answer. */
  async #pull(random: Seeded, repository: string): Promise<void> {
    const blobs = [...this.#model.blobs.values()].filter((it) => it.repository === repository)
    const blob = random.pickNamed(blobs, ({ content }) => content.digest)
    if (blob === undefined) return
    const { content, isThere } = blob
    const target = `/v2/${repository}/blobs/${content.digest}`
    const answer = await this.#wire.ask('GET', target, isThere.is(true) ? [200] : [200, 404])
    if (answer.status === 404) return
    const expected = contentOf(content.name, content.sizeBytes)
    if (!answer.body.equals(expected)) throw new Violation(`${target} has other bytes`)
  }

  async #deleteTag(random: Seeded, repository: string): Promise<void> {
    const tag = random.pickNamed(this.#model.tagsIn(repository), (it) => it.tag)
    if (tag === undefined) return
    const write = new Pending().begin(tag.target, undefined)
    const target = `/v2/${repository}/manifests/${tag.tag}`
    const answer = await this.#wire.ask('DELETE', target, [202, 404])
    write.settle(answer.status === 202 ? 'confirm' : 'refuse')
  }

  async #deleteManifest(random: Seeded, repository: string): Promise<void> {
    const manifest = random.pickNamed(this.#model.manifestsIn(repository), (it) => it.digest)
    if (manifest === undefined) return
    const write = new Pending().begin(manifest.isThere, false)
    for (const { target } of this.#model.tagsIn(repository)) {
      if (target.is(manifest.digest)) write.begin(target, undefined)
      else if (target.allowed().includes(manifest.digest)) write.maybe(target, undefined)
    }
    const target = `/v2/${repository}/manifests/${manifest.digest}`
    await this.#wire.ask('DELETE', target, [202])
    write.settle('confirm')
  }

  /** A blob that a manifest uses stays (405). */
  async #deleteBlob(random: Seeded, repository: string): Promise<void> {
    const blob = random.pickNamed(this.#model.blobsIn(repository), ({ content }) => content.digest)
    if (blob === undefined) return
    const write = new Pending().begin(blob.isThere, false)
    const target = `/v2/${repository}/blobs/${blob.content.digest}`
    const answer = await this.#wire.ask('DELETE', target, [202, 405])
    write.settle(answer.status === 202 ? 'confirm' : 'refuse')
  }
}
