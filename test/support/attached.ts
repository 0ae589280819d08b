/** @module Images and what is attached to them: by a subject, by a tag that is named after them. */
import { expect } from 'vitest'
import { type Descriptor, imageManifest, type RegistryClient, sha256 } from './registry-client.ts'

/** The tag that clients without the referrers API attach content with. */
export const named = (digest: string) => digest.replace(':', '-')

/** A manifest of a repository; the bytes are the same for the same seed. */
export async function put(
  client: RegistryClient,
  repository: string,
  body: object,
  reference?: string,
): Promise<Descriptor> {
  const text = JSON.stringify(body)
  const { mediaType } = body as { mediaType: string }
  const answer = await client.putManifest(repository, reference ?? sha256(text), text, {
    'Content-Type': mediaType,
  })
  expect(answer.status, answer.text).toBe(201)
  return { mediaType, digest: sha256(text), size: text.length }
}

/** An image of a config and a layer of its own. */
export async function image(
  client: RegistryClient,
  repository: string,
  seed: string,
  reference?: string,
  more: Readonly<Record<string, unknown>> = {},
) {
  const config = await client.pushBlob(repository, `{"seed":"${seed}"}`)
  const layer = await client.pushBlob(repository, `layer of ${seed}`)
  return put(client, repository, imageManifest(config, [layer], more), reference)
}

/** What cosign attaches by tag. */
export async function signature(client: RegistryClient, repository: string, of: Descriptor) {
  const config = await client.pushBlob(repository, `{"signs":"${of.digest}"}`)
  const payload = await client.pushBlob(repository, `payload of ${of.digest}`)
  const layer = { ...payload, mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json' }
  return put(client, repository, imageManifest(config, [layer]), `${named(of.digest)}.sig`)
}
