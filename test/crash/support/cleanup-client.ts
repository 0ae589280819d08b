/**
 * @module One client of the clean-up crash test: pushes images, moves and deletes tags, brings them
 * back, collects. Its repositories are its own, so the model of its tags is exact: in `app` a tag is
 * where it was put, in `ret` a retention rule keeps the two newest.
 */
import { mediaTypes } from '../../../src/registry/media-type.ts'
import type { Content, CrashModel, TagModel } from './model.ts'
import { Pending } from './model.ts'
import { contentOf, Seeded } from './seeded.ts'
import { Killed, Violation, type Wire } from './wire.ts'

const OPERATIONS = { push: 50, retained: 14, deleteTag: 14, undelete: 14, collect: 12 } as const

const json = { 'Content-Type': 'application/json' }

/** An image and the blobs that its manifest names. */
export interface PushedImage {
  readonly manifest: Buffer
  readonly blobs: readonly Content[]
}

export const retainedTags = 2

export class CleanupClient {
  readonly #model: CrashModel
  readonly #wire: Wire
  readonly #client: number
  readonly #trace: string[]
  readonly #images: Map<string, PushedImage>
  /** Where each tag of `app` ever was. */
  readonly #history: Map<string, Set<string>>

  constructor(options: {
    readonly model: CrashModel
    readonly wire: Wire
    readonly client: number
    readonly trace: string[]
    readonly images: Map<string, PushedImage>
    readonly history: Map<string, Set<string>>
  }) {
    this.#model = options.model
    this.#wire = options.wire
    this.#client = options.client
    this.#trace = options.trace
    this.#images = options.images
    this.#history = options.history
  }

  /** Works until the process is killed. `onOperation` hears of each before it starts. */
  async run(seed: string, onOperation: (number: number, name: string) => void): Promise<void> {
    try {
      for (let number = 0; ; number += 1) {
        const random = new Seeded(seed, this.#client, number)
        const operation = random.weighted(OPERATIONS)
        this.#trace.push(`${random.path} ${operation}`)
        onOperation(number, operation)
        await this.#operate(operation, random)
      }
    } catch (error) {
      if (!(error instanceof Killed)) throw error
    }
  }

  #operate(operation: keyof typeof OPERATIONS, random: Seeded): Promise<void> {
    const app = this.#model.tag(`clean${this.#client}/app`, `v${random.between(1, 4)}`)
    switch (operation) {
      case 'push':
        return this.#push(random, app)
      case 'retained':
        return this.#pushRetained(random)
      case 'deleteTag':
        return this.#deleteTag(app)
      case 'undelete':
        return this.#undelete(app)
      case 'collect':
        return this.#collect()
    }
  }

  /** Collection may take a blob that no manifest names yet: then it is pushed once more. */
  async #push(random: Seeded, tag: TagModel): Promise<void> {
    const image = this.#compose(random)
    const digest = digestOfImage(this.#model, image)
    this.#images.set(digest, image)
    const write = new Pending().begin(tag.target, digest)
    for (let attempt = 0; attempt < 20; attempt += 1) {
      for (const blob of image.blobs) await this.#pushBlob(tag.repository, blob)
      this.#remember(tag, digest)
      const answer = await this.#wire.ask(
        'PUT',
        `/v2/${tag.repository}/manifests/${tag.tag}`,
        [201, 400],
        { headers: { 'Content-Type': mediaTypes.ociManifest }, body: image.manifest },
      )
      if (answer.status === 201) return write.settle('confirm')
      if (!answer.text.includes('MANIFEST_BLOB_UNKNOWN')) throw new Violation(answer.text)
    }
    write.settle('refuse')
  }

  #remember(tag: TagModel, digest: string): void {
    const key = `${tag.repository} ${tag.tag}`
    const known = this.#history.get(key)
    if (known === undefined) this.#history.set(key, new Set([digest]))
    else known.add(digest)
  }

  /** Two layers of its own, one of them long enough for a file, and one that many images share. */
  #compose(random: Seeded): PushedImage {
    const blobs = [
      this.#model.content(`config ${random.path}`, 300),
      this.#model.content(`layer ${random.path}`, random.chance(0.5) ? 90_000 : 2_000),
      this.#model.content(`base ${random.between(0, 3)}`, 70_000),
    ]
    const describe = ({ digest, sizeBytes: size }: Content) => {
      return { mediaType: 'application/octet-stream', digest, size }
    }
    const [config, ...layers] = blobs.map(describe)
    const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers }
    return { manifest: Buffer.from(JSON.stringify(manifest)), blobs }
  }

  async #pushBlob(repository: string, { name, sizeBytes, digest }: Content): Promise<void> {
    const opened = await this.#wire.ask('POST', `/v2/${repository}/blobs/uploads/`, [202])
    const location = opened.headers['location']!
    const body = contentOf(name, sizeBytes)
    await this.#wire.ask('PUT', `${location}?digest=${digest}`, [201], { body })
  }

  /** The tags of `ret` are never used twice; all but the newest two may go at any time. */
  async #pushRetained(random: Seeded): Promise<void> {
    const repository = `clean${this.#client}/ret`
    const name = random.path.replace(/[^a-z0-9]/g, '-')
    const tags = this.#model.tagsIn(repository)
    // Before it is sent: the moment it is there, the rule may take the others.
    const older = tags.slice(0, Math.max(0, tags.length - retainedTags + 1))
    for (const { target } of older) target.giveUp(target.begin(undefined))
    await this.#push(random, this.#model.tag(repository, `t-${name}`))
  }

  async #deleteTag(tag: TagModel): Promise<void> {
    const write = new Pending().begin(tag.target, undefined)
    const path = `/v2/${tag.repository}/manifests/${tag.tag}`
    const answer = await this.#wire.ask('DELETE', path, [202, 404])
    write.settle(answer.status === 202 ? 'confirm' : 'refuse')
  }

  /** It comes back to one of the places where it was. */
  async #undelete(tag: TagModel): Promise<void> {
    const write = new Pending()
    for (const digest of this.#history.get(`${tag.repository} ${tag.tag}`) ?? []) {
      write.maybe(tag.target, digest)
    }
    const { repository } = tag
    const body = JSON.stringify({ repository, tag: tag.tag })
    const options = { headers: json, body }
    const answer = await this.#wire.ask('POST', '/admin/undelete', [200, 404, 409], options)
    if (answer.status !== 200) return write.settle('refuse')
    write.settle('confirm')
    const path = `/v2/${repository}/manifests/${tag.tag}`
    const now = await this.#wire.ask('GET', path, [200])
    const digest = now.headers['docker-content-digest']
    if (!tag.target.allowed().includes(digest))
      throw new Violation(`${path} came back as ${digest}`)
    tag.target.observe(digest)
  }

  async #collect(): Promise<void> {
    const options = { headers: json, body: '{"wait":true}' }
    await this.#wire.ask('POST', '/admin/gc', [200, 409], options)
  }
}

export function digestOfImage(model: CrashModel, { manifest }: PushedImage): string {
  return model.digestOf(manifest)
}
