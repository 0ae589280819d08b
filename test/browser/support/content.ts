/**
 * @module What the pages are shown with: images of two platforms with layers and history, a chart,
 * signatures, names and texts that would be scripts, an image of 500 layers, many tags.
 */
import { digestOf } from '../../../src/registry/hasher.ts'
import { someBytes } from '../../support/registry-client.ts'

export type Headers = Readonly<Record<string, string>>

interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

const IMAGE = 'application/vnd.oci.image.manifest.v1+json'
const INDEX = 'application/vnd.oci.image.index.v1+json'
const CONFIG = 'application/vnd.oci.image.config.v1+json'
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'

/** Texts that must stay texts. */
export const hostileText =
  '<img src=x onerror="document.title=1"><script>document.title=1</script>\u202egnp.exe\u0000 &amp; {{7*7}} javascript:alert(1)'

/** Pushes with plain requests of `/v2/`. */
export class Pusher {
  readonly #url: string
  readonly #headers: Headers

  constructor(url: string, headers: Headers = {}) {
    this.#url = url
    this.#headers = headers
  }

  async #send(method: string, path: string, headers: Headers, body?: Uint8Array) {
    const answer = await fetch(new URL(path, this.#url), {
      method,
      headers: { ...this.#headers, ...headers },
      ...(body === undefined ? {} : { body: new Uint8Array(body) }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return answer
  }

  async blob(repository: string, content: Uint8Array, mediaType: string): Promise<Descriptor> {
    const digest = digestOf('sha256', content)
    const octets = { 'Content-Type': 'application/octet-stream' }
    await this.#send('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, octets, content)
    return { mediaType, digest, size: content.byteLength }
  }

  async manifest(repository: string, tags: readonly string[], value: object): Promise<Descriptor> {
    const bytes = Buffer.from(JSON.stringify(value))
    const digest = digestOf('sha256', bytes)
    const { mediaType } = value as { mediaType: string }
    const query = tags.map((tag) => `tag=${tag}`).join('&')
    const path = `/v2/${repository}/manifests/${digest}${query === '' ? '' : `?${query}`}`
    await this.#send('PUT', path, { 'Content-Type': mediaType }, bytes)
    return { mediaType, digest, size: bytes.byteLength }
  }

  /** An image of so many layers with its history. */
  async image(
    repository: string,
    tags: readonly string[],
    options: ImageOptions = {},
  ): Promise<Descriptor> {
    const { layers = 2, architecture = 'amd64', seed = 1, labels = {}, annotations = {} } = options
    const parts = await Promise.all(
      Array.from({ length: layers }, (_, at) => {
        const bytes = options.bytes ?? 40_000 * (at + 1)
        return this.blob(repository, someBytes(bytes, at === 0 ? 7 : seed * 1_000 + at), LAYER)
      }),
    )
    const config = {
      os: 'linux',
      architecture,
      created: '2026-11-20T10:00:00Z',
      config: {
        User: 'app',
        Env: ['PATH=/usr/local/bin:/usr/bin', 'NODE_ENV=production'],
        Entrypoint: ['/srv/app'],
        Cmd: ['serve'],
        WorkingDir: '/srv',
        ExposedPorts: { '8080/tcp': {} },
        Labels: { 'org.opencontainers.image.source': 'https://git.example/team/app', ...labels },
      },
      rootfs: { type: 'layers', diff_ids: parts.map(({ digest }) => digest) },
      history: parts.flatMap((_, at) => [
        { created_by: at === 0 ? 'ADD rootfs.tar /' : `COPY ./part-${at} /srv/part-${at}` },
        ...(at === 0 ? [{ created_by: 'ENV NODE_ENV=production', empty_layer: true }] : []),
      ]),
    }
    return this.manifest(repository, tags, {
      schemaVersion: 2,
      mediaType: IMAGE,
      config: await this.blob(repository, Buffer.from(JSON.stringify(config)), CONFIG),
      layers: parts,
      annotations,
    })
  }

  /** An index of two platforms and an attestation, as BuildKit makes them. */
  async index(repository: string, tags: readonly string[], seed = 1): Promise<Descriptor> {
    const platforms = ['amd64', 'arm64']
    const manifests: object[] = []
    for (const [at, architecture] of platforms.entries()) {
      const of = { architecture, seed: seed * 10 + at, layers: 4 }
      const child = await this.image(repository, [], of)
      manifests.push({ ...child, platform: { os: 'linux', architecture } })
    }
    const attestation = await this.image(repository, [], { layers: 1, seed: seed * 10 + 9 })
    manifests.push({ ...attestation, platform: { os: 'unknown', architecture: 'unknown' } })
    return this.manifest(repository, tags, { schemaVersion: 2, mediaType: INDEX, manifests })
  }

  /** An artifact that refers to another. */
  async attach(repository: string, subject: Descriptor, artifactType: string): Promise<Descriptor> {
    const config = await this.blob(
      repository,
      Buffer.from('{}'),
      'application/vnd.oci.empty.v1+json',
    )
    const layer = await this.blob(repository, Buffer.from(artifactType), 'application/json')
    return this.manifest(repository, [], {
      schemaVersion: 2,
      mediaType: IMAGE,
      artifactType,
      config,
      layers: [layer],
      subject,
    })
  }

  /** So many tags of one image: a push sets up to 256 at once, and some pushes go at a time. */
  async tags(repository: string, count: number, nameOf = (at: number) => `v1.${at}`) {
    const config = await this.blob(repository, Buffer.from('{"os":"linux"}'), CONFIG)
    const layers = [await this.blob(repository, someBytes(500), LAYER)]
    const names = Array.from({ length: count }, (_, at) => nameOf(at))
    const work = async () => {
      for (let some = names.splice(0, 256); some.length > 0; some = names.splice(0, 256)) {
        const annotations = { first: some[0]! }
        const image = { schemaVersion: 2, mediaType: IMAGE, config, layers, annotations }
        await this.manifest(repository, some, image)
      }
    }
    await Promise.all(Array.from({ length: 16 }, work))
  }

  /** Everything that a screen shows. */
  async content(): Promise<void> {
    const app = async () => {
      await this.index('team/app', ['v1.9.3'], 1)
      const newest = await this.index('team/app', ['v1.10.0', 'latest'], 2)
      await this.attach('team/app', newest, 'application/vnd.example.sbom.v1+json')
    }
    await Promise.all([
      app(),
      this.image('team/worker', ['v2', 'v3'], { layers: 3, seed: 4 }),
      this.image('library/base', ['12', '13'], { layers: 1, seed: 5 }),
      this.image('hostile/names', ['x'], {
        labels: { [hostileText]: hostileText, 'a.b': 'x'.repeat(5_000) },
        annotations: { 'org.opencontainers.image.title': hostileText },
      }),
      this.image('big/layers', ['v1'], { layers: 40, bytes: 900 }),
    ])
  }
}

interface ImageOptions {
  readonly layers?: number
  readonly architecture?: string
  readonly seed?: number
  /** Of each layer; without it each is larger than the one before. */
  readonly bytes?: number
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}
