/**
 * @module The rows of the table of commands (`commands.ts`) that speak with a mesh.
 *
 * @apart the rows of one feature, as those of the others are
 */
import type { Command, Operand } from './command.ts'

const node: Operand = { name: 'NODE', what: 'the number or the name of a node' }

const rows: readonly Omit<Command, 'needs'>[] = [
  {
    words: ['mesh', 'status'],
    operands: [],
    flags: {},
    summary: 'list the nodes of a mesh: who takes part, who votes, how far each has come',
    examples: ['mesh status', 'mesh status --json'],
    load: async () => (await import('./commands/mesh.ts')).meshStatus,
  },
  {
    words: ['mesh', 'drain'],
    operands: [node],
    flags: { undo: { type: 'switch', summary: 'take it back' } },
    summary: 'give a node nothing new and hand over what it has',
    examples: ['mesh drain registry-3', 'mesh drain 3 --undo'],
    load: async () => (await import('./commands/mesh.ts')).meshDrain,
  },
  {
    words: ['mesh', 'remove'],
    operands: [node],
    flags: { 'even-so': { type: 'switch', summary: 'lose blobs that only this node has' } },
    summary: 'put a node out for good; it comes back only as a new one, with an empty storage',
    examples: ['mesh remove registry-3'],
    load: async () => (await import('./commands/mesh.ts')).meshRemove,
  },
]

const leave: Omit<Command, 'needs'> = {
  words: ['mesh', 'leave'],
  operands: [],
  flags: { 'no-wait': { type: 'switch', summary: 'return at once; the node goes on by itself' } },
  summary:
    'let the node that is asked leave its mesh: it hands over what it has, then its process ends',
  details: 'Exit codes: 0 all is handed over, 1 the node cannot leave, or has ended before.',
  examples: ['mesh leave --server http://registry-3:5000', 'mesh leave --no-wait'],
  load: async () => (await import('./commands/mesh.ts')).meshLeave,
}

const evenSo = {
  'even-so': { type: 'switch', summary: 'give up blobs whose files are on other nodes only' },
} as const

const offline: readonly Omit<Command, 'needs'>[] = [
  {
    words: ['mesh', 'detach'],
    operands: [],
    flags: evenSo,
    summary:
      'take a store out of its mesh: it is one of its own again, or founds another mesh (server stopped)',
    details: 'Exit codes: 0 done, 1 files of blobs are on other nodes only; they are listed.',
    examples: ['mesh detach --config config.yaml', 'mesh detach --storage ./data --even-so'],
    load: async () => (await import('./commands/mesh.ts')).meshDetach,
  },
  {
    words: ['mesh', 'rejoin'],
    operands: [],
    flags: {},
    summary:
      'let a store join a mesh as a new node, with the files of blobs that it has (server stopped)',
    examples: ['mesh rejoin --config config.yaml'],
    load: async () => (await import('./commands/mesh.ts')).meshRejoin,
  },
]

const witness: Command = {
  words: ['witness'],
  operands: [],
  flags: {},
  needs: 'config',
  summary: 'vote in the etcd of a mesh, and do nothing else: with it any one of two nodes may go',
  details: 'It has no rows and no blobs. `storage.path` is a folder of its own.',
  examples: ['witness --config witness.yaml'],
  load: async () => (await import('./commands/witness.ts')).witness,
}

export const MESH_COMMANDS: readonly Command[] = [
  witness,
  ...[...rows, leave].map((row) => ({ ...row, needs: 'running' as const })),
  ...offline.map((row) => ({ ...row, needs: 'store' as const })),
]
