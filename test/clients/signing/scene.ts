/**
 * @module The scene of the cases: one registry with a policy for each key and each type of attestation, small images in
 * repositories of their own, and cosign in two versions.
 */

import { writeFile } from 'node:fs/promises'
import { image, named, put } from '../../support/attached.ts'
import { type Descriptor, imageIndex, RegistryClient } from '../../support/registry-client.ts'
import { type RunningRegistry, startRegistry } from '../../support/start-registry.ts'
import type { Session } from '../support/session.ts'
import {
  AS_BUNDLE,
  AS_TAG,
  type Cosign,
  KEY_KINDS,
  makeKeys,
  PLAIN,
  signArgs,
  VERIFY_BUNDLE,
  verifyArgs,
} from '../support/signing.ts'

/** Types of attestations: the word of cosign, and the predicate type that the policy of this name asks for. */
export const TYPES = {
  slsaprovenance1: 'slsaprovenance1',
  spdxjson: 'spdx',
  cyclonedx: 'cyclonedx',
  vuln: 'vuln',
  openvex: 'openvex',
  custom: 'custom',
  'https://example.com/own/v1': 'https://example.com/own/v1',
} as const
export type AttestationType = keyof typeof TYPES

export type Form = 'tag' | 'bundle'

/** What provenance has to have; other types take it as well. */
const PREDICATE = {
  buildDefinition: { buildType: 'https://example.com/ci', externalParameters: {} },
  runDetails: { builder: { id: 'https://example.com/builder' } },
}

/** An image that is to be asked about. */
export interface Place {
  readonly repository: string
  readonly digest: string
  /** Of an index: the images that it lists. */
  readonly platforms: readonly string[]
}

export class Scene {
  readonly #session: Session
  readonly #registry: RunningRegistry
  readonly client: RegistryClient

  private constructor(session: Session, registry: RunningRegistry) {
    this.#session = session
    this.#registry = registry
    this.client = new RegistryClient(registry.port)
  }

  static async open(session: Session): Promise<Scene> {
    const pems = await makeKeys(session)
    await writeFile(session.own('predicate.json'), JSON.stringify(PREDICATE))
    const policy = (name: string, rule: object) => ({
      name,
      repositories: [`policy/${name}`],
      require: [rule],
    })
    const registry = await startRegistry({
      config: {
        signing: {
          keys: KEY_KINDS.map((name) => ({ name, pem: pems.get(name) })),
          policies: [
            ...KEY_KINDS.map((key) => policy(`signed.${key}`, { signature: { by: [{ key }] } })),
            ...Object.values(TYPES).map((type, at) =>
              policy(`attested.${at}`, { attestation: { type, by: [{ key: 'p256' }] } }),
            ),
          ],
        },
      },
    })
    return new Scene(session, registry)
  }

  async close(): Promise<void> {
    this.client.close()
    await this.#registry.stop()
  }

  get url(): string {
    return this.#registry.url
  }

  at({ repository, digest }: Pick<Place, 'repository' | 'digest'>): string {
    return `${this.#registry.address}/${repository}@${digest}`
  }

  /** `HOST:PORT/REPOSITORY`. */
  named(repository: string): string {
    return `${this.#registry.address}/${repository}`
  }

  run(tool: string, ...args: readonly string[]) {
    return this.#session.run(tool, ...args)
  }

  /** Whether a command ends well. */
  async succeeds(tool: string, ...args: readonly string[]): Promise<boolean> {
    return this.#session.run(tool, ...args).then(
      () => true,
      () => false,
    )
  }

  /** A small image of its own. */
  async image(repository: string, seed: string, tag?: string): Promise<Place> {
    const { digest } = await image(this.client, repository, seed, tag)
    return { repository, digest, platforms: [] }
  }

  /** An index of two platforms. */
  async index(repository: string, seed: string, tag?: string): Promise<Place> {
    const platforms: Descriptor[] = []
    for (const architecture of ['amd64', 'arm64']) {
      const one = await image(this.client, repository, `${seed} ${architecture}`)
      platforms.push({ ...one, platform: { os: 'linux', architecture } })
    }
    const { digest } = await put(this.client, repository, imageIndex(platforms), tag)
    return { repository, digest, platforms: platforms.map((one) => one.digest) }
  }

  sign(tool: Cosign, form: Form, place: Place, key = 'p256', more: readonly string[] = []) {
    const args = form === 'tag' ? AS_TAG[tool] : AS_BUNDLE[tool]
    return this.run(tool, 'sign', ...signArgs(tool, key), ...args, ...more, this.at(place))
  }

  attest(tool: Cosign, form: Form, place: Place, type: AttestationType, key = 'p256') {
    const args = form === 'tag' ? AS_TAG[tool] : AS_BUNDLE[tool]
    const about = ['--predicate', 'predicate.json', '--type', type]
    return this.run(tool, 'attest', ...signArgs(tool, key), ...args, ...about, this.at(place))
  }

  /** What the tool itself says. */
  verifies(tool: Cosign, form: Form, place: Place, key = 'p256', more: readonly string[] = []) {
    const args = form === 'tag' ? AS_TAG[tool] : VERIFY_BUNDLE[tool]
    return this.succeeds(tool, 'verify', ...verifyArgs(key), ...args, ...more, this.at(place))
  }

  verifiesAttestation(tool: Cosign, form: Form, place: Place, type: string, key = 'p256') {
    const args = [...(form === 'tag' ? AS_TAG[tool] : VERIFY_BUNDLE[tool]), '--type', type]
    return this.succeeds(tool, 'verify-attestation', ...verifyArgs(key), ...args, this.at(place))
  }

  clean(place: Place) {
    return this.run('cosign', 'clean', '--force', PLAIN, this.at(place))
  }

  /** What is under the tag of the signatures, or of the attestations, of an image. */
  async tagged({ repository, digest }: Place, suffix: 'sig' | 'att') {
    const answer = await this.client.get(`/v2/${repository}/manifests/${named(digest)}.${suffix}`)
    return JSON.parse(answer.text) as SignatureManifest
  }

  /** The only referrer of an image. */
  async referrer({ repository, digest }: Place) {
    const { json } = await this.client.get(`/v2/${repository}/referrers/${digest}`)
    const [listed] = (json as { manifests: { digest: string }[] }).manifests
    const path = `/v2/${repository}/manifests/${listed!.digest}`
    const answer = await this.client.get(path)
    return { path, manifest: JSON.parse(answer.text) as SignatureManifest }
  }

  async blob(repository: string, digest: string): Promise<Buffer> {
    return (await this.client.get(`/v2/${repository}/blobs/${digest}`)).body
  }

  /** Puts a manifest: under the tag of the image's signatures, or by its digest. */
  put({ repository, digest }: Place, manifest: object, suffix?: 'sig' | 'att') {
    const tag = suffix && `${named(digest)}.${suffix}`
    return put(this.client, repository, manifest, tag)
  }
}

export interface SignatureManifest {
  readonly mediaType: string
  readonly layers: readonly {
    readonly mediaType: string
    readonly digest: string
    readonly size: number
    readonly annotations?: Readonly<Record<string, string>>
  }[]
  readonly subject?: { readonly mediaType: string; readonly digest: string; readonly size: number }
}
