/**
 * @module Judges the certificates and keys of the listeners.
 * @apart one judge for each kind of thing that a configuration names
 */
import type { Config } from '../../config/config.ts'
import type { TlsPair } from '../../http/engine/port.ts'
import type { Finding } from './finding.ts'

export async function judgeTls({ server: { tls } }: Config): Promise<readonly Finding[]> {
  if (tls === undefined) return []
  const { readPair, TlsFileError } = await import('../../http/engine/tls-files.ts')
  const judge = async (
    pair: TlsPair,
    placeOf: (role: 'cert' | 'key') => Pick<Finding, 'key' | 'path'>,
  ): Promise<readonly Finding[]> => {
    try {
      await readPair(pair)
      return []
    } catch (error) {
      if (!(error instanceof TlsFileError)) throw error
      return [{ ...placeOf(error.role), message: error.message }]
    }
  }
  const main = judge({ cert: tls.certFile, key: tls.keyFile }, (role) => ({
    key: role === 'cert' ? 'server.tls.cert' : 'server.tls.key',
  }))
  const others = tls.sni.map((pair, index) =>
    judge(pair, (role) => ({ key: 'server.tls.sni', path: [index, role] })),
  )
  return (await Promise.all([main, ...others])).flat()
}
