/**
 * @module Content of the stand-in of Quay for runs of a sync.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { QuayStandIn } from './quay/stand-in.ts'
import { imageManifest } from './registry-client.ts'

/** Long ago, so that nothing counts as fresh. Seconds. */
export const LONG_AGO = 1_700_000_000

/** Puts an image of a config and layers there, tagged. Returns its digest. */
export function pushToQuay(
  quay: QuayStandIn,
  path: string,
  tag: string,
  layers: readonly string[],
  at = LONG_AGO,
): string {
  const repository =
    quay.model.repositories.get(path) ?? quay.model.addRepository(path, { isPublic: true })
  const blob = (text: string, mediaType: string) => ({
    mediaType,
    digest: repository.putBlob(Buffer.from(text)),
    size: Buffer.byteLength(text),
  })
  const digest = repository.putManifest(
    imageManifest(
      blob('{}', 'application/vnd.oci.image.config.v1+json'),
      layers.map((text) => blob(text, 'application/vnd.oci.image.layer.v1.tar+gzip')),
    ),
  )
  repository.setTag(tag, digest, at)
  return digest
}

/** The tag by which cosign attaches a signature. */
export function signInQuay(quay: QuayStandIn, path: string, digest: string, at: number): string {
  return pushToQuay(quay, path, `${digest.replace(':', '-')}.sig`, [`signature of ${digest}`], at)
}

export async function temporaryFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'fastregistry-sync-'))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}
