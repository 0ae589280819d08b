/**
 * @module Judges what the registry signs with: the operator's key, the file of its own, and its name.
 *
 * @apart one judge for each kind of thing that a configuration names
 */
import { readIfThere, secretFilePaths } from '../../auth/secret-file.ts'
import type { Config } from '../../config/config.ts'
import { readText } from '../../runtime/text-file.ts'
import { parseSigningKeys, readPrivateKey } from '../../signing/attest/keys.ts'
import type { Finding } from './finding.ts'

export async function judgeAttest(config: Config): Promise<readonly Finding[]> {
  const { enabled, keyFile, host, isHostGuessed } = config.signing.attest
  if (!enabled) return []
  const own = secretFilePaths(config.storage.path).signingKeys
  const findings: Finding[] = []
  const ownProblem = await problemOf(async () => {
    const text = await readIfThere(own)
    if (text !== undefined) parseSigningKeys(text)
  })
  if (ownProblem !== undefined) {
    const message = `${own} cannot be used: ${ownProblem}; restore it, or remove it with all keys that are published`
    findings.push({ key: 'storage.path', message })
  }
  const keyProblem =
    keyFile && (await problemOf(async () => readPrivateKey(await readText(keyFile))))
  if (keyProblem !== undefined) {
    const message = `${keyFile} cannot be used: ${keyProblem}`
    findings.push({ key: 'signing.attest.key', message })
  }
  if (isHostGuessed) {
    const message = `what the registry signs names it ${host}; say how clients call it`
    findings.push({ key: 'signing.attest.host', message, isWarning: true })
  }
  return findings
}

/** Undefined: it went well. */
async function problemOf(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    // Where the folder of the store is none, that is said of the folder.
    if (code === 'ENOTDIR') return undefined
    return code === undefined ? message : `it cannot be read (${code})`
  }
}
