/**
 * @module Judges what a node of a mesh needs: its secret, the certificates of an etcd that runs already, and a program
 * of etcd where the nodes run one themselves.
 */
import type { Config } from '../../config/config.ts'
import type { Finding } from './finding.ts'

export async function judgeMesh({ mesh }: Config): Promise<readonly Finding[]> {
  if (mesh === undefined) return []
  // One node alone loads nothing of it.
  const { EtcdRefusedError, findProgram } = await import('../../mesh/etcd/program.ts')
  const { readTlsFiles } = await import('../mesh/etcd.ts')
  const { secretsOf } = await import('../mesh/identity.ts')
  const { secretFile, log } = mesh
  const secretKey = secretFile === '' ? 'mesh.secret' : 'mesh.secret_file'
  const found = [await judged(secretKey, () => secretsOf(mesh))]
  if (log.endpoints.length > 0) {
    found.push(await judged('mesh.log.tls.ca', () => readTlsFiles(log.tls)))
    return found.flat()
  }
  const key = log.binary === '' ? 'mesh.enabled' : 'mesh.log.binary'
  const path = process.env['PATH'] ?? ''
  try {
    const { warning } = await findProgram({ binary: log.binary, path })
    if (warning !== undefined) found.push([{ key, message: warning, isWarning: true }])
  } catch (error) {
    if (!(error instanceof EtcdRefusedError)) throw error
    found.push([{ key, message: error.message }])
  }
  return found.flat()
}

async function judged(
  key: Finding['key'],
  look: () => Promise<unknown>,
): Promise<readonly Finding[]> {
  try {
    await look()
    return []
  } catch (error) {
    return [{ key, message: error instanceof Error ? error.message : String(error) }]
  }
}
