/**
 * @module `fastregistry signatures`: what is attached to an image and who signed it, through the admin API of
 * a running server.
 */
import { type Admin, AdminRefusal, type Json, printTable, withAdmin } from '../admin-client.ts'
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

export const signaturesVerify: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async (admin) => {
    const report = await reportOf(admin, line, terminal)
    if (report === undefined) return 3
    if (admin.isJson) terminal.print(JSON.stringify(report))
    else print(terminal, report)
    return report['state'] === 'verified' ? 0 : 1
  })

export const signaturesViolations: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async ({ ask, isJson }) => {
    let after = ''
    let isFirst = true
    do {
      const page = await ask('GET', `/admin/signatures/violations?limit=1000${after}`)
      const violations = page['violations'] as Json[]
      if (isJson) for (const one of violations) terminal.print(JSON.stringify(one))
      else if (violations.length > 0 || isFirst) {
        const rows = violations.map((it) => [
          it['at'],
          `${String(it['repository'])}:${String(it['tag'])}`,
          it['by'],
          it['message'],
        ])
        printTable(terminal, ['AT', 'TAG', 'BY', 'WHY'], rows)
      }
      isFirst = false
      after = page['next'] === undefined ? '' : `&after=${String(page['next'])}`
    } while (after !== '')
    return 0
  })

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
  return signer?.['key'] ?? signer?.['subject']
}
