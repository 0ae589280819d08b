/**
 * @module Judges what signatures are verified with: each key, root and store is read by the very function that reads
 * it later.
 *
 * @apart one judge for each kind of thing that a configuration names
 */
import { stat } from 'node:fs/promises'
import type { Config } from '../../config/config.ts'
import { anyPattern } from '../../registry/pattern.ts'
import { systemClock } from '../../runtime/clock.ts'
import { readText } from '../../runtime/text-file.ts'
import { readPublicKey } from '../../signing/keys/public-key.ts'
import { isNeeded, isUsed, type Needed } from '../../signing/needs.ts'
import { readStore } from '../../signing/stores/folder.ts'
import { rootAgeDaysMax } from '../../signing/trust.ts'
import type { Finding } from './finding.ts'

const dayMs = 86_400_000

export async function judgeSigning(config: Config): Promise<readonly Finding[]> {
  const { signing, mirrors } = config
  const keys = await Promise.all(
    signing.keys.map(async ({ name, source }, index): Promise<readonly Finding[]> => {
      const path = [index, source.kind === 'file' ? 'path' : 'pem']
      const problem =
        source.kind === 'file' ? await fileProblem(name, source.path) : keyProblem(name, source.pem)
      if (problem === undefined) return []
      const isWarning = source.kind === 'file' && !isNeeded({ kind: 'key', name }, signing)
      return [{ key: 'signing.keys', path, message: problem, ...(isWarning && { isWarning }) }]
    }),
  )
  return [
    ...keys.flat(),
    ...(await judgeRoots(signing)),
    ...(await judgeStores(signing)),
    ...judgeEnds(signing),
    ...(await judgeTwins(signing)),
    ...judgePlaces(signing, mirrors),
    ...judgeExempt(config),
  ]
}

/** Roots that cannot be read, that have ended, that are old, or that no signer names. */
async function judgeRoots(signing: Config['signing']): Promise<readonly Finding[]> {
  const { roots } = signing
  if (roots.length === 0) return []
  const { readRoot } = await import('../../signing/keyless/sigstore.ts')
  const now = systemClock.now()
  const judge = async ({ name, path }: (typeof roots)[number], index: number) => {
    const about = (message: string, isWarning: boolean): Finding => {
      return {
        key: 'signing.roots',
        path: [index, 'path'],
        message,
        ...(isWarning && { isWarning: true }),
      }
    }
    try {
      const { newestAt, endsAt } = readRoot(await readText(path))
      const { mtimeMs } = await stat(path)
      const days = Math.floor((now - Math.max(newestAt, mtimeMs)) / dayMs)
      const notes: string[] = []
      if (endsAt < now) notes.push(`${path}: the last of its authorities has ended`)
      if (days > rootAgeDaysMax) {
        notes.push(`${path} is ${days} days old; signatures of newer logs are not verified by it`)
      }
      if (!isNamed({ kind: 'root', name }, signing))
        notes.push(`no signer names the root "${name}"`)
      return notes.map((note) => about(note, true))
    } catch (error) {
      return [about(reasonOf(path, error), !isNeeded({ kind: 'root', name }, signing))]
    }
  }
  return (await Promise.all(roots.map(judge))).flat()
}

/** Stores that cannot be read, whose certificates have ended, or that no signer names. */
async function judgeStores(signing: Config['signing']): Promise<readonly Finding[]> {
  const { stores } = signing
  if (stores.length === 0) return []
  const { linkOf } = await import('../../signing/notation/chain.ts')
  const now = systemClock.now()
  const judge = async ({ name, path }: (typeof stores)[number], index: number) => {
    const about = (message: string, isWarning: boolean): Finding => {
      return {
        key: 'signing.stores',
        path: [index, 'path'],
        message,
        ...(isWarning && { isWarning: true }),
      }
    }
    try {
      const anchors = (await readStore(path)).map(linkOf)
      const notes: string[] = []
      if (anchors.every(({ parts }) => parts.notAfter < now)) {
        notes.push(`${path}: all of its certificates have expired`)
      }
      if (!isNamed({ kind: 'store', name }, signing))
        notes.push(`no signer names the store "${name}"`)
      return notes.map((note) => about(note, true))
    } catch (error) {
      return [about(reasonOf(path, error), !isNeeded({ kind: 'store', name }, signing))]
    }
  }
  return (await Promise.all(stores.map(judge))).flat()
}

function isNamed(one: Needed, { signers, stores }: Config['signing']): boolean {
  return isUsed(one, [{ by: signers }], stores)
}

/** Keys whose end is over: what they signed counts with a trusted time before it, and nothing newer. */
function judgeEnds({ keys }: Config['signing']): readonly Finding[] {
  const now = systemClock.now()
  return keys.flatMap(({ name, untilMs }, index): Finding[] => {
    if (untilMs === undefined || untilMs > now) return []
    const day = new Date(untilMs).toISOString().slice(0, 10)
    const message = `"${name}" has ended on ${day}; only what a trusted time proves to be older counts`
    return [{ key: 'signing.keys', path: [index, 'until'], message, isWarning: true }]
  })
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

/** What mirrors bring passes gates of its own: a policy that seems to govern it says so. */
function judgePlaces(
  { policies }: Config['signing'],
  mirrors: Config['mirrors'],
): readonly Finding[] {
  return policies.flatMap(({ repositories, gates }, index) => {
    if (gates.includes('mirror') || gates.includes('pull')) return []
    const fits = anyPattern(repositories)
    return mirrors
      .filter(({ name }) => fits(name) || fits(`${name}/any`) || fits(`${name}/any/any`))
      .map(({ name }): Finding => {
        const message = `the mirror ${name} brings tags there, which only the gates mirror and pull see`
        return { key: 'signing.policies', path: [index, 'repositories'], message, isWarning: true }
      })
  })
}

/** Whoever may push is exempt from the gate of pulls: where that is all who may pull, it stops none of them. */
function judgeExempt({ signing, auth, access }: Config): readonly Finding[] {
  const isOpen = auth.type === 'none' && access.length === 0 && auth.foreign === undefined
  const isForPulls = access.some(
    ({ actions }) => actions.includes('pull') && !actions.includes('push'),
  )
  if (isOpen || isForPulls) return []
  return signing.policies.flatMap(({ gates, exempt }, index): readonly Finding[] => {
    if (!gates.includes('pull') || !exempt.pushers) return []
    const message =
      'every rule of access that allows pulls allows pushes as well, and who may push is exempt from the gate of pulls: give the credentials of deployments a rule for pulls alone'
    const path = [index, 'exempt', 'pushers']
    return [{ key: 'signing.policies', path, message, isWarning: true }]
  })
}

async function fileProblem(name: string, path: string): Promise<string | undefined> {
  let text: string
  try {
    text = await readText(path)
  } catch (error) {
    return reasonOf(path, error)
  }
  const problem = keyProblem(name, text)
  return problem === undefined ? undefined : `${path}: ${problem}`
}

/** Of the file system, or of the reader. */
function reasonOf(path: string, error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code !== undefined) return `${path} cannot be read (${code}); check the path and its owner`
  return message.startsWith(path) ? message : `${path}: ${message}`
}

function keyProblem(name: string, pem: string): string | undefined {
  const read = readPublicKey(name, pem)
  return read.ok ? undefined : read.error
}
