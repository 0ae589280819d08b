/**
 * @module `fastregistry mesh`: lists the nodes of a mesh, drains and removes one, through the admin API of any of them.
 */
import { type Json, printTable, withAdmin } from '../admin-client.ts'
import type { RunCommand } from '../command.ts'
import type { Terminal } from '../terminal.ts'

export const meshStatus: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async ({ ask, isJson }) => {
    show(terminal, isJson, await ask('GET', '/admin/mesh'))
    return 0
  })

export const meshDrain: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async ({ ask, isJson }) => {
    const word = line.has('undo') ? 'undrain' : 'drain'
    show(terminal, isJson, await ask('POST', pathOf(line.operands[0]!, word)))
    return 0
  })

export const meshRemove: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async ({ ask, isJson }) => {
    show(terminal, isJson, await ask('POST', pathOf(line.operands[0]!, 'remove')))
    return 0
  })

function pathOf(node: string, word: string): string {
  return `/admin/mesh/members/${encodeURIComponent(node)}/${word}`
}

function show(terminal: Terminal, isJson: boolean, mesh: Json): void {
  if (isJson) return terminal.print(JSON.stringify(mesh, null, 2))
  const { cluster, lead, visible, stable } = mesh
  terminal.print(
    `mesh ${String(cluster)}: lead ${String(lead ?? 'none')}, entry ${String(visible)}, all show ${String(stable)}`,
  )
  const rows = (mesh['members'] as Json[]).map((it) => [
    it['number'],
    it['name'],
    it['state'],
    it['address'],
    it['boot'],
    it['visible'],
    yesNo(it['serving']),
    yesNo(it['voter']),
    yesNo(it['reached']),
  ])
  const titles = [
    'NODE',
    'NAME',
    'STATE',
    'ADDRESS',
    'RUN',
    'VISIBLE',
    'SERVING',
    'VOTER',
    'REACHED',
  ]
  printTable(terminal, titles, rows)
}

function yesNo(value: unknown): string {
  return value === true ? 'yes' : 'no'
}
