/**
 * @module Judges the files of mirrors: certificates of authorities, passwords and tokens.
 */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Config, MirrorConfig } from '../../config/config.ts'
import type { Finding } from './finding.ts'

export async function judgeMirrors({ mirrors }: Config): Promise<readonly Finding[]> {
  const found = await Promise.all(
    mirrors.flatMap((mirror, index) => [
      judgeAuthority(mirror, index),
      ...mirror.credentials.map((credential, at) => judgeSecret(credential, index, at)),
    ]),
  )
  return found.flat()
}

async function judgeAuthority({ caFile }: MirrorConfig, index: number): Promise<Finding[]> {
  if (caFile === undefined) return []
  const problem = await authorityFileProblem(caFile)
  return problem === undefined ? [] : [{ key: 'mirrors', path: [index, 'ca'], message: problem }]
}

/** What is wrong with a file of authorities' certificates; undefined: nothing. */
export function authorityFileProblem(path: string): Promise<string | undefined> {
  return problemOf(path, authorityProblem)
}

const pemStart = '-----BEGIN CERTIFICATE-----'
const pemEnd = '-----END CERTIFICATE-----'

/** TLS leaves out what it cannot read in a list of authorities, without a word: so it is read here. */
function authorityProblem(text: string): string | undefined {
  const parts = text.split(pemStart).slice(1)
  if (parts.length === 0) return 'has no certificate; give a PEM file'
  for (const [index, part] of parts.entries()) {
    const end = part.indexOf(pemEnd)
    try {
      if (end < 0) throw new Error('it has no end')
      new X509Certificate(`${pemStart}${part.slice(0, end)}${pemEnd}\n`)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      return `has a certificate (number ${index + 1}) that cannot be read: ${reason}`
    }
  }
  return text.startsWith('\ufeff')
    ? 'begins with a byte order mark, which TLS does not read; save it without'
    : undefined
}

async function judgeSecret(
  { secret, isToken }: MirrorConfig['credentials'][number],
  index: number,
  at: number,
): Promise<Finding[]> {
  if (secret.kind === 'text') return []
  const problem = await secretFileProblem(secret.value)
  const path = [index, 'credentials', at, isToken ? 'token_file' : 'password_file']
  return problem === undefined ? [] : [{ key: 'mirrors', path, message: problem }]
}

/** What is wrong with a file that holds one secret; undefined: nothing. */
export function secretFileProblem(path: string): Promise<string | undefined> {
  return problemOf(path, secretProblem)
}

/** Read when it is needed, blanks around it left out: what is left has to fit into a header. */
function secretProblem(text: string): string | undefined {
  const secret = text.trim()
  if (secret === '') return 'is empty'
  if (/\p{Cc}/u.test(secret)) return 'has more than one line, or control characters; give one line'
  return undefined
}

async function problemOf(
  path: string,
  judge: (text: string) => string | undefined,
): Promise<string | undefined> {
  try {
    const problem = judge(await readFile(path, 'utf8'))
    return problem === undefined ? undefined : `${path} ${problem}`
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return `${path} cannot be read (${code}); check the path and its owner`
  }
}
