/**
 * @module `fastregistry signatures`: what is attached to an image and who signed it, through the admin API of
 * a running server.
 */
import {
  type Admin,
  AdminRefusal,
  type Json,
  printTable,
  serverOf,
  withAdmin,
} from '../admin-client.ts'
import type { CommandLine, RunCommand } from '../command.ts'
import { Misuse } from '../command-line.ts'
import type { Terminal } from '../terminal.ts'
import { splitImageName } from './contents.ts'

export const signaturesList: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async ({ ask, isJson }) => {
    const report = await ask('GET', pathOf(line))
    if (isJson) terminal.print(JSON.stringify(report))
    else print(terminal, report)
    return 0
  })

export const signaturesExplain: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async (admin) => {
    const report = await reportOf(admin, line, terminal)
    if (report === undefined) return 3
    const { repository } = splitImageName(line.operands[0]!)
    if (admin.isJson) terminal.print(JSON.stringify(report))
    else explained(terminal, report, `${hostOf(line, terminal)}/${repository}`)
    return report['state'] === 'verified' ? 0 : 1
  })

export const signaturesVerify: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async (admin) => {
    const report = await reportOf(admin, line, terminal)
    if (report === undefined) return 3
    if (admin.isJson) terminal.print(JSON.stringify(report))
    else print(terminal, report)
    return report['state'] === 'verified' ? 0 : 1
  })

export const signaturesViolations: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async (admin) => {
    await printPages(admin, terminal, '/admin/signatures/violations', 'violations', {
      AT: (it) => it['at'],
      TAG: (it) => `${String(it['repository'])}:${String(it['tag'])}`,
      BY: (it) => it['by'],
      WHY: (it) => it['message'],
    })
    await printPages(admin, terminal, '/admin/signatures/violations/pulls', 'pulls', {
      'LAST PULL': (it) => it['lastAt'],
      IMAGE: (it) => `${String(it['repository'])}@${String(it['digest'])}`,
      PULLS: (it) => it['count'],
      BY: (it) => lastPuller(it['pullers'] as Json[]),
      WHY: (it) => it['message'],
    })
    return 0
  })

export const signaturesRevoke: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async ({ ask, isJson }) => {
    const [digest] = line.operands
    const reason = line.text('reason') ?? ''
    const revoked = await ask('POST', '/admin/signatures/revoke', { digest, reason })
    terminal.print(isJson ? JSON.stringify(revoked) : `${digest} is revoked`)
    return 0
  })

export const signaturesAllow: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async ({ ask, isJson }) => {
    const [digest = ''] = line.operands
    const path = `/admin/signatures/revoke/${encodeURIComponent(digest)}`
    const allowed = await ask('DELETE', path)
    terminal.print(isJson ? JSON.stringify(allowed) : `${digest} is not revoked any more`)
    return 0
  })

export const signaturesRevoked: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async (admin) => {
    await printPages(admin, terminal, '/admin/signatures/revoked', 'revoked', {
      DIGEST: (it) => it['digest'],
      AT: (it) => it['at'],
      BY: (it) => it['by'],
      WHY: (it) => it['reason'],
    })
    return 0
  })

/** A list to its end, in a table for each page. */
async function printPages(
  { ask, isJson }: Admin,
  terminal: Terminal,
  path: string,
  name: string,
  columns: Readonly<Record<string, (row: Json) => unknown>>,
): Promise<void> {
  let after = ''
  let isFirst = true
  do {
    const page = await ask('GET', `${path}?limit=1000${after}`)
    const found = page[name] as Json[]
    if (isJson) for (const one of found) terminal.print(JSON.stringify(one))
    else if (found.length > 0 || isFirst) {
      const cells = found.map((it) => Object.values(columns).map((cell) => cell(it)))
      printTable(terminal, Object.keys(columns), cells)
    }
    isFirst = false
    after = page['next'] === undefined ? '' : `&after=${encodeURIComponent(String(page['next']))}`
  } while (after !== '')
}

function lastPuller([last]: readonly Json[]): string {
  const { user, address } = last ?? {}
  return user === undefined ? String(address) : `${String(user)} (${String(address)})`
}

/** Undefined: there is no such image; that is printed. */
async function reportOf(
  { ask }: Admin,
  line: CommandLine,
  terminal: Terminal,
): Promise<Json | undefined> {
  try {
    return await ask('GET', pathOf(line))
  } catch (error) {
    if (!(error instanceof AdminRefusal) || error.status !== 404) throw error
    terminal.printError(error.message)
    return undefined
  }
}

function pathOf({ operands }: CommandLine): string {
  const { repository, tag, digest } = splitImageName(operands[0]!)
  const reference = tag ?? digest
  if (reference === undefined) throw new Misuse('name a tag or a digest: NAME:TAG or NAME@DIGEST')
  return `/admin/repositories/${encodeURIComponent(repository)}/manifests/${encodeURIComponent(reference)}/signatures`
}

function print(terminal: Terminal, report: Json): void {
  const by = (report['by'] as string[]).join(', ')
  const state = String(report['state'])
  const policy = report['policy'] === undefined ? '' : ` (policy ${String(report['policy'])})`
  terminal.print(`${String(report['digest'])}: ${state}${by === '' ? '' : ` by ${by}`}${policy}`)
  const rows = (report['signatures'] as Json[]).map((it) => [
    it['scheme'],
    it['predicateType'] ?? (it['signature'] === true ? 'signature' : ''),
    nameOf(it['signer'] as Json | undefined),
    `${String(it['result'])}${it['inherited'] === true ? ' (of the index)' : ''}`,
    it['reason'],
  ])
  if (rows.length > 0) printTable(terminal, ['SCHEME', 'WHAT', 'SIGNER', 'RESULT', 'WHY'], rows)
  if (report['truncated'] === true) {
    terminal.print('More is attached to it than is looked at: delete what is not needed.')
  }
}

function nameOf(signer: Json | undefined): unknown {
  return signer?.['name'] ?? signer?.['key'] ?? signer?.['subject']
}

/** The registry as its clients name it. */
function hostOf(line: CommandLine, { environment }: Terminal): string {
  return new URL(serverOf(line, environment)).host
}

function explained(terminal: Terminal, report: Json, image: string): void {
  const policy = report['policy']
  const [state, digest] = [String(report['state']), String(report['digest'])]
  terminal.print(`${digest}: ${state}${policy === undefined ? ', by no policy' : ''}`)
  if (policy !== undefined) terminal.print(`policy ${String(policy)} asks for:`)
  for (const one of (report['required'] as string[] | undefined) ?? []) terminal.print(`  ${one}`)
  const found = report['signatures'] as Json[]
  if (found.length === 0) terminal.print('nothing is attached to it')
  for (const one of found) {
    const what = one['predicateType'] ?? (one['signature'] === true ? 'signature' : 'attachment')
    const who = nameOf(one['signer'] as Json | undefined)
    const by = who === undefined ? '' : ` by ${String(who)}`
    const where = one['inherited'] === true ? ', on the index' : ''
    terminal.print(
      `${String(one['scheme'])} ${String(what)}${by}${where}: ${String(one['result'])}`,
    )
    if (one['reason'] !== undefined) terminal.print(`  ${String(one['reason'])}`)
    terminal.print(`  in ${String(one['manifest'])}`)
    const command = commandFor(one, `${image}@${digest}`)
    if (command !== undefined) terminal.print(`  try: ${command}`)
  }
}

/** What shows the same with the signer's own tool; the caller knows the key. */
function commandFor(finding: Json, image: string): string | undefined {
  const {
    scheme,
    predicateType,
    signature,
    signer = {},
  } = finding as Readonly<{
    scheme: string
    predicateType?: string
    signature: boolean
    signer?: Json
  }>
  switch (scheme) {
    case 'cosign-tag':
    case 'cosign-referrer':
    case 'bundle': {
      const identity = signer['identity'] as Json | undefined
      const by =
        identity === undefined
          ? '--key KEY.pub --insecure-ignore-tlog'
          : `--certificate-identity ${quoted(identity['subject'])} --certificate-oidc-issuer ${quoted(identity['issuer'])}`
      if (signature) return `cosign verify ${by} ${image}`
      return `cosign verify-attestation --type ${quoted(predicateType ?? 'custom')} ${by} ${image}`
    }
    case 'notation':
      return `notation verify ${image}`
    case 'buildkit':
      return `docker buildx imagetools inspect ${image}`
    case 'openpgp':
      return undefined
    default:
      return `oras manifest fetch ${image.slice(0, image.indexOf('@'))}@${String(finding['manifest'])}`
  }
}

/** For a shell: what a stranger wrote is no command. */
function quoted(value: unknown): string {
  return `'${String(value).replaceAll("'", "'\\''")}'`
}
