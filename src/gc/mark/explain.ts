/**
 * @module The verdicts on one repository, inside a worker.
 * @apart one of the two things that a worker does with the rules; `walk.ts` is the other
 */
import type { LmdbEnvironment } from '../../metadata/lmdb/environment.ts'
import type { ExplainedItem, ExplainTask } from '../worker/messages.ts'
import { markRepository } from './repository.ts'
import { compileRules } from './rules.ts'
import { WorkerRows } from './stored-rows.ts'

/** Verdicts told of a whole repository. */
const verdictsMax = 1_000

export function explain(
  environment: LmdbEnvironment,
  { repository, only, now, config, pullsLagMs }: ExplainTask,
): ExplainedItem[] {
  const rows = new WorkerRows(environment)
  const marked = markRepository(rows, repository, {
    rules: compileRules(config, pullsLagMs),
    now,
    pinsOf: (digest) => [...rows.below('pins', [digest])].map(({ row }) => row),
    mayDelete: () => true,
  })
  const found: ExplainedItem[] = []
  const add = (item: ExplainedItem) => {
    if (found.length < verdictsMax && (only === undefined || item.name === only)) found.push(item)
  }
  for (const { tag: name, stays, rule, reason, goesAt } of marked.verdicts) {
    const item = { kind: 'tag', name, stays, rule, reason } as const
    add(goesAt === undefined ? item : { ...item, goesAt })
  }
  for (const [name, reason] of marked.keptManifests) {
    add({ kind: 'manifest', name, stays: true, reason })
  }
  for (const { kind, digest: name, rule, reason } of marked.items) {
    if (kind === 'manifest') add({ kind, name, stays: false, rule, reason })
  }
  return found
}
