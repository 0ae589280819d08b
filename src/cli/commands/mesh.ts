/**
 * @module `fastregistry mesh`: lists the nodes of a mesh, drains and removes one, through the admin API of any of them;
 * and takes a stopped store out of its mesh.
 */

import { detach, rejoin } from '../../storage/detach.ts'
import { type Json, printTable, withAdmin } from '../admin-client.ts'
import type { RunCommand } from '../command.ts'
import { configOf, reportFailure } from '../command-line.ts'
import type { Terminal } from '../terminal.ts'
import { openPeers } from './maintenance.ts'

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
    const query = line.has('even-so') ? '?evenSo=true' : ''
    show(terminal, isJson, await ask('POST', `${pathOf(line.operands[0]!, 'remove')}${query}`))
    return 0
  })

/** Between two looks at how far a node is that leaves, ms: it says for two seconds that all is handed over. */
const lookMs = 500

export const meshLeave: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async ({ ask, isJson }) => {
    let mesh = await ask('POST', '/admin/mesh/leave')
    if (line.has('no-wait')) {
      show(terminal, isJson, mesh)
      return 0
    }
    let last = ''
    while (mesh['leaving'] !== 'handed over' && mesh['leaving'] !== 'left') {
      const said = leavingLine(mesh)
      if (said !== last && !isJson) terminal.print(said)
      last = said
      await new Promise((resolve) => setTimeout(resolve, lookMs))
      mesh = await ask('GET', '/admin/mesh')
      if (mesh['leaving'] === undefined)
        throw new Error('the node stays in its mesh; its log says why')
    }
    if (isJson) show(terminal, isJson, mesh)
    else terminal.print('the node has handed over all that it had; it leaves, and its process ends')
    return 0
  })

function leavingLine({ leaving, member, members }: Json): string {
  const own = (members as Json[]).find((it) => it['number'] === member)
  const [, left] = own === undefined ? [] : copiesOf(own)
  return leaving === 'handing over'
    ? `handing over: ${left === '-' ? 'not counted yet' : left}`
    : String(leaving)
}

/** At most so many digests are printed. */
const shownMax = 20

export const meshDetach: RunCommand = async (line, terminal) => {
  const { storage } = await configOf(line, terminal)
  return reportFailure(terminal, 'mesh detach failed', async () => {
    const { index, missing, isDone } = await detach(storage.path, line.has('even-so'), openPeers)
    for (const digest of missing.slice(0, shownMax)) {
      terminal.printError(`${digest}: its file is on other nodes only`)
    }
    if (missing.length > 0) terminal.printError(`${missing.length} blobs are on other nodes only`)
    if (!isDone) {
      terminal.printError(
        'the other nodes have to run and to give them (docs/mesh.md), or use --even-so',
      )
      return 1
    }
    terminal.print(`${storage.path} is out of its mesh; it has all up to entry ${index}`)
    return 0
  })
}

export const meshRejoin: RunCommand = async (line, terminal) => {
  const { storage } = await configOf(line, terminal)
  return reportFailure(terminal, 'mesh rejoin failed', async () => {
    const index = await rejoin(storage.path)
    terminal.print(
      `${storage.path} joins as a new node at its next start, with its files of blobs; ` +
        `its rows, up to entry ${index}, are kept in meta.before`,
    )
    return 0
  })
}

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
    ...copiesOf(it),
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
    'LACKS',
    'TO HAND OVER',
  ]
  printTable(terminal, titles, rows)
  for (const line of differenceLines(mesh)) terminal.print(line)
}

/** Which nodes were given other things than others. */
function differenceLines({ differences = [] }: Json): readonly string[] {
  return (differences as readonly Difference[]).map(({ what, given }) => {
    const groups = given.map(({ members }) => members.join(', ')).join(' / ')
    return `not the same on all nodes: ${what} (nodes ${groups})`
  })
}

interface Difference {
  readonly what: string
  readonly given: readonly { readonly members: readonly number[] }[]
}

/** What the node lacks, and what it has to hand over. */
function copiesOf({ counted, copies }: Json): readonly string[] {
  if (copies === undefined) return [counted === 'left' ? '-' : String(counted), '-']
  const { lacking, kept } = copies as Readonly<Record<'lacking' | 'kept', Amount>>
  return [shown(lacking), shown(kept)]
}

interface Amount {
  readonly blobs: number
  readonly bytes: number
}

function shown({ blobs, bytes }: Amount): string {
  return blobs === 0 ? '0' : `${blobs} (${Math.ceil(bytes / 2 ** 20)} MiB)`
}

function yesNo(value: unknown): string {
  return value === true ? 'yes' : 'no'
}
