/** @module Signatures that lie in a registry, by a tag or by a subject. */
import { put } from './attached.ts'
import type { Descriptor, RegistryClient } from './registry-client.ts'
import type { Layer } from './signing.ts'

export const bundleManifest = 'application/vnd.dev.sigstore.bundle.v0.3+json'

/** A manifest that holds layers of signatures, under a tag or with a subject. */
export async function attach(
  client: RegistryClient,
  repository: string,
  layers: readonly Layer[],
  to: { readonly tag: string } | { readonly subject: Descriptor; readonly artifactType: string },
): Promise<Descriptor> {
  const config = await client.pushBlob(repository, '{}')
  const described = []
  for (const { bytes, mediaType, annotations } of layers) {
    const blob = await client.pushBlob(repository, bytes)
    described.push({ ...blob, mediaType, annotations })
  }
  const { tag, ...fields } = 'tag' in to ? to : { tag: undefined, ...to }
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const body = { schemaVersion: 2, mediaType, config, layers: described, ...fields }
  return put(client, repository, body, tag)
}
