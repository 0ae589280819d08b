/** @module Docker's own image archive (`docker load`, `docker save`), made from and read to layouts. */

import assert from 'node:assert/strict'
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { blobPath, type Layout } from '../../support/random-image.ts'
import { sha256 } from './layout.ts'
import type { Session } from './session.ts'
import type { ManifestBody } from './wire.ts'

/** Writes a layout as an archive that `docker load` names `reference`; returns its path. */
export async function writeDockerArchive(
  session: Pick<Session, 'folder' | 'run'>,
  layout: Layout,
  reference: string,
): Promise<string> {
  const folder = join(session.folder, 'archive')
  await mkdir(folder)
  const manifest = await readFile(blobPath(layout.folder, layout.digest), 'utf8')
  const { config, layers = [] } = JSON.parse(manifest) as ManifestBody
  assert(config !== undefined)
  const names = [config, ...layers].map(({ digest }) => digest.replace('sha256:', ''))
  for (const [index, { digest }] of [config, ...layers].entries()) {
    await symlink(blobPath(layout.folder, digest), join(folder, names[index] ?? ''))
  }
  const entry = { Config: names[0], RepoTags: [reference], Layers: names.slice(1) }
  await writeFile(join(folder, 'manifest.json'), JSON.stringify([entry]))
  await session.run('tar', '--dereference', '-C', folder, '-cf', `${folder}.tar`, '.')
  await rm(folder, { recursive: true })
  return `${folder}.tar`
}

/** Unpacks what `docker save` wrote and hashes its layers, which it stores uncompressed. */
export async function readDockerArchive(
  session: Session,
  archive: string,
): Promise<{ readonly diffIds: readonly string[] }> {
  const folder = `${archive}-unpacked`
  await mkdir(folder)
  await session.run('tar', '-C', folder, '-xf', archive)
  const [entry] = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as [
    { readonly Layers: readonly string[] | null },
  ]
  const diffIds: string[] = []
  for (const layer of entry.Layers ?? []) {
    diffIds.push(`sha256:${await sha256(join(folder, layer))}`)
  }
  await rm(folder, { recursive: true })
  return { diffIds }
}
