/** @module The breaks of runs that go by the history of their source, and of what ends or spares a run. */
import { vitest } from '../breaks.mjs'

const history = vitest('unit', 'test/unit/sync/runs/history.test.ts')
const faults = vitest('unit', 'test/unit/sync/runs/run-faults.test.ts')
const between = vitest('http', 'test/http/sync/history-runs.test.ts')

export const BREAKS = [
  {
    what: 'syncs: the place in a history is kept before all is done',
    file: 'src/sync/runs/history.ts',
    find: '      await ended()\n      await this.keep({}, told.cursor)',
    replace: '      await this.#how.keep({ cursor: told.cursor })\n      await ended()',
    guard: history,
  },
  {
    what: 'syncs: a place of other filters is gone on from',
    file: 'src/sync/runs/history.ts',
    find: 'return state?.cursorFingerprint === fingerprint ? state.cursor : undefined',
    replace: "return fingerprint === '' ? undefined : state?.cursor",
    guard: history,
  },
  {
    what: 'syncs: what failed of a history is forgotten',
    file: 'src/sync/runs/history.ts',
    find: 'if (part === 0) await this.#left()',
    replace: 'if (part < 0) await this.#left()',
    guard: history,
  },
  {
    what: 'syncs: a source with a history is never listed whole again',
    file: 'src/sync/runs/history.ts',
    find: 'age === undefined || age < 0 || age >= config.fullEveryMs',
    replace: 'age === undefined || age < -config.fullEveryMs',
    guard: history,
  },
  {
    what: 'syncs: a full pass undoes a push that the other side has not taken yet',
    file: 'src/sync/runs/tag-list.ts',
    find: "if (isEcho && parts.isEcho({ repository, tag: work.tag, digest })) return { kind: 'echo' }",
    replace: "if (isEcho && repository === '') return { kind: 'echo' }",
    guard: between,
  },
  {
    what: 'syncs: what a list lacks goes without a plan, though the history does not say it',
    file: 'src/sync/runs/told.ts',
    find: 'digest !== undefined && told.removed.has(digest)',
    replace: 'told.removed.size > 0',
    guard: history,
  },
  {
    what: 'syncs: a push here is undone by one that was replaced',
    file: 'src/sync/runs/tag-run.ts',
    find: 'return this.#told?.tags.get(tag) === digest',
    replace: "return digest !== '' && this.#told?.tags.has(tag) === true",
    guard: between,
  },
  {
    what: 'syncs: a deletion that could not be confirmed is forgotten',
    file: 'src/sync/runs/repository-run.ts',
    find: 'this.#leaves(unknown)\n',
    replace: 'this.#leaves(unknown * 0)\n',
    guard: history,
  },
  {
    what: 'syncs: deletions are followed without prune',
    file: 'src/server/sync/source.ts',
    find: 'prune: config.prune.isEnabled',
    replace: "prune: config.name !== ''",
    guard: between,
  },
  {
    what: 'syncs: a credential that has ended is asked with for every repository',
    file: 'src/sync/runs/waits/refusals.ts',
    find: 'this.#parts.end(refused)',
    replace: 'if (this.#inRow < 0) this.#parts.end(refused)',
    guard: faults,
  },
  {
    what: 'syncs: one refused repository ends the run',
    file: 'src/sync/runs/waits/refusals.ts',
    find: '(await this.#asking) ?? (this.#inRow >= inRowMax ? error : undefined)',
    replace: '(await this.#asking) ?? error',
    guard: faults,
  },
  {
    what: 'syncs: a host that is away lets every repository fail',
    file: 'src/sync/runs/scope.ts',
    find: 'if (!waits || !isDown(error)',
    replace: 'if (!waits || isDown(error) || !isDown(error)',
    guard: faults,
  },
  {
    what: 'syncs: one tag that is too large stops all others',
    file: 'src/sync/runs/tag-run.ts',
    find: 'if (gate.hasRoom) return false',
    replace: 'if (gate.hasRoom && soft.aborted) return false',
    guard: faults,
  },
  {
    what: 'syncs: a tag with a time to come hides those that follow',
    file: 'src/sync/runs/place.ts',
    find: 'return Math.min(Math.max(seen, before ?? 0), now)',
    replace: 'return Math.max(seen, before ?? 0)',
    guard: faults,
  },
  {
    what: 'syncs: a time of upstream that goes back is no news',
    file: 'src/sync/runs/place.ts',
    find: 'if (row.changedAt !== undefined && row.changedAt !== changedAt) return true',
    replace: 'if (row.changedAt !== undefined && row.changedAt < changedAt) return true',
    guard: faults,
  },
  {
    what: 'syncs: a prune without news reads the whole journal and makes its plans old',
    file: 'src/sync/runs/prune-step.ts',
    find: 'if (!isNews && !(await this.#isAnyUnlisted(repositories))) return 0',
    replace: 'if (!isNews && repositories.size < 0) return 0',
    guard: faults,
  },
  {
    what: 'syncs: large lists are all held at once',
    file: 'src/sync/runs/waits/held-names.ts',
    find: 'while (this.#total > this.#max &&',
    replace: 'while (this.#total < 0 &&',
    guard: vitest('unit', 'test/unit/sync/runs/waits/held-names.test.ts'),
  },
]
