/**
 * @module The rows of the table of commands (`commands.ts`) that speak with a synchronisation.
 */
import type { Command, Flags, Operand } from './command.ts'

const source: Operand = { name: 'SOURCE', what: 'the name of a source of sync.sources' }

const request: Flags = {
  wait: { type: 'switch', summary: 'wait for the end of the run' },
  'dry-run': { type: 'switch', summary: 'list what a run would do, and copy nothing' },
  repositories: {
    type: 'list',
    value: 'PATTERNS',
    example: 'team/*',
    summary: 'only these repositories of upstream, separated by commas',
  },
  tags: {
    type: 'list',
    value: 'PATTERNS',
    example: 'v1.*',
    summary: 'only these tags, separated by commas',
  },
  full: { type: 'switch', summary: 'look at everything, also at what has not changed' },
  force: { type: 'switch', summary: 'try again what has failed, without the wait' },
  'prune-plan': { type: 'switch', summary: 'plan what a prune would delete, and delete nothing' },
}

const codes = 'Exit codes: 0 everything is copied, 1 failed, 3 a part failed.'

const rows: readonly Omit<Command, 'needs'>[] = [
  {
    words: ['sync', 'list'],
    operands: [],
    flags: {},
    summary: 'list the sources that are copied, with their state',
    examples: ['sync list', 'sync list --json'],
    load: async () => (await import('./commands/sync.ts')).syncList,
  },
  {
    words: ['sync', 'run'],
    operands: [source],
    flags: request,
    summary: 'copy from a source now',
    details: `With --wait. ${codes}`,
    examples: [
      'sync run upstream-quay',
      'sync run upstream-quay --wait --full',
      'sync run upstream-quay --dry-run --repositories org/app --tags v1.*',
    ],
    load: async () => (await import('./commands/sync.ts')).syncRun,
  },
  {
    words: ['sync', 'status'],
    operands: [source],
    flags: { follow: { type: 'switch', summary: 'go on until the run has ended' } },
    summary: 'report what a source does, and what failed',
    details: `With --follow. ${codes}`,
    examples: ['sync status upstream-quay', 'sync status upstream-quay --follow'],
    load: async () => (await import('./commands/sync.ts')).syncStatus,
  },
  {
    words: ['sync', 'explain'],
    operands: [source, { name: 'REPOSITORY:TAG', what: "a tag by upstream's name" }],
    flags: {},
    summary: 'report which rule selects a tag of upstream, and what came of it',
    examples: ['sync explain upstream-quay org/app:v1'],
    load: async () => (await import('./commands/sync.ts')).syncExplain,
  },
  {
    words: ['sync', 'plan'],
    operands: [{ name: 'PLAN', what: 'the id of a plan', isOptional: true }],
    flags: {},
    summary: 'list the plans of prunes, or what one of them deletes',
    examples: ['sync plan', 'sync plan 7'],
    load: async () => (await import('./commands/sync.ts')).syncPlan,
  },
  {
    words: ['sync', 'apply'],
    operands: [{ name: 'PLAN', what: 'the id of a plan' }],
    flags: {},
    summary: 'delete what a plan of a prune holds and nothing else',
    examples: ['sync apply 7'],
    load: async () => (await import('./commands/sync.ts')).syncApply,
  },
  {
    words: ['sync', 'cancel'],
    operands: [source],
    flags: {},
    summary: 'end the run of a source',
    examples: ['sync cancel upstream-quay'],
    load: async () => (await import('./commands/sync.ts')).syncCancel,
  },
  {
    words: ['sync', 'pause'],
    operands: [source],
    flags: {},
    summary: 'let a source run no more until it is resumed',
    examples: ['sync pause upstream-quay'],
    load: async () => (await import('./commands/sync.ts')).syncPause,
  },
  {
    words: ['sync', 'resume'],
    operands: [source],
    flags: {},
    summary: 'let a paused source run again',
    examples: ['sync resume upstream-quay'],
    load: async () => (await import('./commands/sync.ts')).syncResume,
  },
]

export const SYNC_COMMANDS: readonly Command[] = rows.map((row) => ({ ...row, needs: 'running' }))
