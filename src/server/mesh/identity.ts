/**
 * @module What a node of a mesh is and knows as its configuration says it: its secrets, its name, what it says of
 * itself, and the authority of the cluster, whose key is a sealed row.
 */
import { hkdfSync } from 'node:crypto'
import { readFile, statfs } from 'node:fs/promises'
import { hostname } from 'node:os'
import type { MeshConfig } from '../../config/config.ts'
import { Authority, type AuthorityParts, type MemberKey } from '../../mesh/identity/authority.ts'
import type { IdentityFolder } from '../../mesh/identity/kept.ts'
import { MeshError } from '../../mesh/identity/problem.ts'
import { Seals } from '../../mesh/identity/seals.ts'
import { MeshSecret, type MeshSecrets, parseSecrets } from '../../mesh/identity/secret.ts'
import type { MetadataReader } from '../../metadata/port.ts'
import { systemRandom } from '../../runtime/random.ts'
import { textOf } from '../../runtime/text-file.ts'

/** Among the secrets of the cluster. */
export const authorityName = 'authority'

/** Where all nodes are on one machine, whose users can do what they like with them anyway. */
const loopbackSecret = 'all nodes of this mesh are on one machine'

/** What only this node and the mesh know. */
export interface OwnKeys {
  readonly key: MemberKey
  readonly secrets: MeshSecrets
}

/** Makes the key in the first run. Throws as `secretsOf`, and what the disk throws. */
export async function ownKeys(mesh: MeshConfig, folder: IdentityFolder): Promise<OwnKeys> {
  const secrets = await secretsOf(mesh)
  return { key: await folder.key(), secrets }
}

/** Throws an Error that names the file, and a MeshError 'secret' for what is none. */
export async function secretsOf({ secret, secretFile }: MeshConfig): Promise<MeshSecrets> {
  if (secretFile !== '') {
    const bytes = await readFile(secretFile).catch((error: NodeJS.ErrnoException) => {
      throw new Error(`${secretFile} cannot be read: ${error.code}`)
    })
    return parseSecrets(textOf(bytes))
  }
  return [new MeshSecret(secret === '' ? loopbackSecret : secret)]
}

/** As lists and logs show it: at most 64 letters, digits, dots, hyphens and underscores. */
export function nodeNameOf({ name, bind }: MeshConfig): string {
  if (name !== '') return name
  const host = hostname()
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .slice(0, 50)
  return `${host}-${bind.port}`
}

const tib = 1024 ** 4

/** TiB of the disk, or as configured. Rejects with what the system says of the path. */
export async function weightOf({ weight }: MeshConfig, path: string): Promise<number> {
  if (weight > 0) return weight
  const { blocks, bsize } = await statfs(path)
  // The share of a tiny disk is not nothing.
  return Math.max(0.001, Math.round(((blocks * bsize) / tib) * 1_000) / 1_000)
}

export function sealsOf(secrets: MeshSecrets, cluster: string): Seals {
  return new Seals({ secrets, cluster, random: systemRandom })
}

/**
 * 32 bytes for a use, the same on all nodes. Of the key of the authority, which was drawn when the mesh was founded:
 * the secret of the mesh is a known one where all nodes are on one machine.
 */
export function keyOfCluster(
  metadata: Pick<MetadataReader, 'get'>,
  seals: Seals,
  use: 'redirect 1' | 'alike 1',
): Uint8Array {
  const { bytes } = seals.open(authorityName, metadata.get('secrets', authorityName)!.sealed)
  return new Uint8Array(hkdfSync('sha256', bytes, '', `fastregistry ${use}`, 32))
}

/** Throws a MeshError 'sealed' when the secret does not open its key, or there is none yet. */
export function authorityOf(
  metadata: Pick<MetadataReader, 'get'>,
  seals: Seals,
  certificate: string,
  parts: AuthorityParts,
): Authority {
  const row = metadata.get('secrets', authorityName)
  if (row === undefined) throw new MeshError('sealed', 'the view has no key of the authority yet')
  return Authority.open(certificate, seals.open(authorityName, row.sealed).bytes, parts)
}
