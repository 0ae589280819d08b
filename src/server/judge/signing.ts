/**
 * @module Judges the public keys of signatures: each is read by the very function that reads it later.
 *
 * @apart one judge for each kind of thing that a configuration names
 */
import type { Config } from '../../config/config.ts'
import { anyPattern } from '../../registry/pattern.ts'
import { readText } from '../../runtime/text-file.ts'
import { readPublicKey } from '../../signing/keys/public-key.ts'
import type { Finding } from './finding.ts'

export async function judgeSigning({ signing, mirrors }: Config): Promise<readonly Finding[]> {
  const findings = await Promise.all(
    signing.keys.map(async ({ name, source }, index): Promise<readonly Finding[]> => {
      const path = [index, source.kind === 'file' ? 'path' : 'pem']
      const problem =
        source.kind === 'file' ? await fileProblem(name, source.path) : keyProblem(name, source.pem)
      return problem === undefined ? [] : [{ key: 'signing.keys', path, message: problem }]
    }),
  )
  return [...findings.flat(), ...(await judgeTwins(signing)), ...judgePlaces(signing, mirrors)]
}

/** One key under two names would count for one of them alone. */
async function judgeTwins({ keys }: Config['signing']): Promise<readonly Finding[]> {
  const names = new Map<string, string>()
  const findings: Finding[] = []
  for (const [index, { name, source }] of keys.entries()) {
    const pem = source.kind === 'pem' ? source.pem : await readText(source.path).catch(() => '')
    const read = readPublicKey(name, pem)
    if (!read.ok) continue
    const twin = names.get(read.value.fingerprint)
    names.set(read.value.fingerprint, name)
    if (twin === undefined || twin === name) continue
    const message = `"${name}" is the same key as "${twin}"; leave one of them out`
    findings.push({ key: 'signing.keys', path: [index], message })
  }
  return findings
}

/** What mirrors bring is not gated: a policy that seems to govern it says so. */
function judgePlaces(
  { policies }: Config['signing'],
  mirrors: Config['mirrors'],
): readonly Finding[] {
  return policies.flatMap(({ repositories }, index) => {
    const fits = anyPattern(repositories)
    return mirrors
      .filter(({ name }) => fits(name) || fits(`${name}/any`) || fits(`${name}/any/any`))
      .map(({ name }): Finding => {
        const message = `the mirror ${name} brings tags there, which no policy of signatures sees`
        return { key: 'signing.policies', path: [index, 'repositories'], message, isWarning: true }
      })
  })
}

async function fileProblem(name: string, path: string): Promise<string | undefined> {
  let text: string
  try {
    text = await readText(path)
  } catch (error) {
    const { code = 'unreadable' } = error as NodeJS.ErrnoException
    return `${path} cannot be read (${code}); check the path and its owner`
  }
  const problem = keyProblem(name, text)
  return problem === undefined ? undefined : `${path}: ${problem}`
}

function keyProblem(name: string, pem: string): string | undefined {
  const read = readPublicKey(name, pem)
  return read.ok ? undefined : read.error
}
