/** @module The breaks of runs of a sync: what they cost, what they must not touch, what outlives a stop. */
import { vitest } from '../breaks.mjs'

const runs = vitest('http', 'test/http/sync/runs.test.ts')
const faulty = vitest('http', 'test/http/sync/faulty-runs.test.ts')

export const BREAKS = [
  {
    what: 'syncs: an image that upstream has whole by now stays sparse here',
    file: 'src/sync/runs/tag-list.ts',
    find: "row.reason === 'sparse' && work.listed.isSparse !== true",
    replace: "row.reason === 'none' && work.listed.isSparse !== true",
    guard: faulty,
  },
  {
    what: 'syncs: a dry run says nothing of what a prune would miss',
    file: 'src/sync/runs/dry-run.ts',
    find: 'if (!isFull || listed === undefined || listed.size === 0) return',
    replace: 'if (isFull || listed === undefined || listed.size === 0) return',
    guard: runs,
  },
  {
    what: 'syncs: repositories that have not changed are looked at',
    file: 'src/sync/runs/place.ts',
    find: 'if (!how.isAsked && !isChanged(parts, row, watermark, changedAt)) {',
    replace:
      'if (!how.isAsked && changedAt === -1 && !isChanged(parts, row, watermark, changedAt)) {',
    guard: runs,
  },
  {
    what: 'syncs: a repository of another owner is fetched',
    file: 'src/sync/runs/place.ts',
    find: "if (claim.kind === 'collision') {",
    replace: "if (claim.kind === 'collision' && name === '') {",
    guard: runs,
  },
  {
    what: 'syncs: a changed filter is not noticed',
    file: 'src/sync/runs/place.ts',
    find: 'known?.fingerprint === fingerprint && known.local === local',
    replace: 'fingerprint !== known?.local && known?.local === local',
    guard: runs,
  },
  {
    what: 'syncs: fewer tags than asked for are copied',
    file: 'src/sync/runs/repository-run.ts',
    find: 'if (list.isShort) {',
    replace: "if (list.isShort && repository === '') {",
    guard: runs,
  },
  {
    what: 'syncs: an empty list of repositories is believed',
    file: 'src/sync/runs/source-run.ts',
    find: 'if (this.#seen.size > 0 || !(await this.#hasContent())) return',
    replace: 'if (this.#seen.size >= 0 || !(await this.#hasContent())) return',
    guard: runs,
  },
  {
    what: 'syncs: a refused credential is tried as often as any',
    file: 'src/sync/runs/runner.ts',
    find: '...(isRefused ? refused : {}),',
    replace: '...(isRefused && now < 0 ? refused : {}),',
    guard: runs,
  },
  {
    what: 'syncs: a run that a stop ended does not go on',
    file: 'src/sync/runs/runner.ts',
    find: 'if (this.#shared === undefined && (running !== undefined || hasTick)) {',
    replace: 'if (running === this.name || hasTick) {',
    guard: runs,
  },
  {
    what: 'syncs: a trigger while paused is forgotten',
    file: 'src/sync/runs/runner.ts',
    find: 'await this.#state.put({ hasTick: true })\n',
    replace: 'this.#remembered = undefined\n',
    guard: runs,
  },
  {
    what: 'syncs: a conflict is recorded in every run',
    file: 'src/sync/runs/tag-run.ts',
    find: "if (result.outcome === 'conflict' && isNew)",
    replace: "if (result.outcome === 'conflict' && (isNew || digest !== ''))",
    guard: runs,
  },
  {
    what: 'syncs: what a client deleted comes back from a registry that has it still',
    file: 'src/sync/copy/tag-move.ts',
    find: 'wrote !== undefined || this.#wasDeleted(it)',
    replace: 'wrote !== undefined',
    guard: vitest('http', 'test/http/sync/between-registries.test.ts'),
  },
  {
    what: "syncs: what a source wrote under its old name is somebody else's",
    file: 'src/sync/journal.ts',
    find: 'return formerly.some((name) => by === writerOf(name))',
    replace: 'return formerly.length < 0',
    guard: vitest('http', 'test/http/sync/runs.test.ts'),
  },
  {
    what: 'syncs: a host says for how long a run waits',
    file: 'src/sync/runs/waits/gate.ts',
    find: 'clock.monotonic() + Math.min(waitMsMax, ms)',
    replace: 'clock.monotonic() + ms',
    guard: vitest('unit', 'test/unit/sync/runs/waits/gate.test.ts'),
  },
]
