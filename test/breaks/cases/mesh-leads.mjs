/** @module The breaks of work that the nodes of a mesh share: one at once, each time once, nothing by who was overtaken. */
import { vitest } from '../breaks.mjs'

const apply = vitest('unit', 'test/unit/metadata/leads.test.ts')
const front = vitest('unit', 'test/unit/mesh/leads.test.ts')
const jobs = vitest('unit', 'test/unit/jobs/mesh-jobs.test.ts')
const simulation = vitest('unit', 'test/unit/mesh/cron.test.ts', { MESH_SEEDS: '25' })

const collection = vitest('unit', 'test/unit/gc/shared-collection.test.ts')
const source = vitest('unit', 'test/unit/sync/runs/shared-runner.test.ts')
const mirrors = vitest('unit', 'test/unit/mirror/eviction.test.ts')

const applyLeads = 'src/metadata/apply/leads.ts'
const leads = 'src/mesh/leads.ts'
const jobsFile = 'src/jobs/jobs.ts'
const ticks = 'src/jobs/ticks.ts'

export const BREAKS = [
  {
    what: 'leads: a job that has just ended keeps the next from beginning',
    file: 'src/jobs/jobs.ts',
    find: 'if (!isEnding || asked === takesMax) throw error',
    replace: 'throw error',
    guard: jobs,
  },
  {
    what: 'mesh: a lead is taken while another run has it',
    file: applyLeads,
    find: 'if (row !== undefined && stands(rows, row)) return false',
    replace: '',
    guard: apply,
  },
  {
    what: 'mesh: a run that was put out keeps its lead',
    file: applyLeads,
    find: 'session.presentAt > 0 && session.presentAt <= index',
    replace: 'session.presentAt <= index',
    guard: apply,
  },
  {
    what: 'mesh: a run that comes in again has its lead again',
    file: applyLeads,
    find: 'session.presentAt > 0 && session.presentAt <= index',
    replace: 'session.presentAt > 0',
    guard: apply,
  },
  {
    what: 'mesh: a lead is checked by its holder and not by when it was taken',
    file: applyLeads,
    find: 'return row.index === index && stands(rows, row)',
    replace: 'return stands(rows, row)',
    guard: apply,
  },
  {
    what: 'mesh: whoever likes gives a lead back',
    file: applyLeads,
    find: "if (row === undefined || row.member !== member || row.boot !== boot) return false\n  rows.delete('leads', job)",
    replace: "if (row === undefined) return false\n  rows.delete('leads', job)",
    guard: apply,
  },
  {
    what: 'mesh: any name is the name of a job',
    file: applyLeads,
    find: "if (typeof job === 'string' && job.length > 0 && job.length <= leadNameMax) return",
    replace: "if (typeof job === 'string') return",
    guard: apply,
  },
  {
    what: 'mesh: a job that was overtaken goes on changing things',
    file: 'src/jobs/led-store.ts',
    find: 'checks: [lead.check, ...it.checks]',
    replace: 'checks: [...it.checks]',
    guard: simulation,
  },
  {
    what: 'mesh: a refused lead is not told',
    file: 'src/jobs/led-store.ts',
    find: "outcome.failed.check === 'lead'",
    replace: "outcome.failed.check === 'held'",
    guard: jobs,
  },
  {
    what: 'mesh: every node does the work of a time of the schedule',
    file: ticks,
    find: 'if (at !== undefined && (await this.take(metadata, schedule, at))) await work(at)',
    replace: 'if (at !== undefined) await work(at)',
    guard: simulation,
  },
  {
    what: 'mesh: a time of a schedule is taken without a look at who has',
    file: ticks,
    find: "{ check: 'unchanged', ...here, row: stored }",
    replace: "{ check: 'present', ...here }",
    guard: simulation,
  },
  {
    what: 'mesh: an older time of a schedule is taken',
    file: ticks,
    find: 'stored.at >= at',
    replace: 'stored.at === at',
    guard: jobs,
  },
  {
    what: 'mesh: jobs of one kind run at once',
    file: jobsFile,
    find: 'if (lead === undefined) throw new LeadTaken(name)',
    replace: '',
    guard: jobs,
  },
  {
    what: 'mesh: a start closes jobs that other nodes run',
    file: jobsFile,
    find: 'if (this.#isElsewhere(row) || (kind !== undefined && row.kind !== kind)) continue',
    replace: 'if (kind !== undefined && row.kind !== kind) continue',
    guard: jobs,
  },
  {
    what: 'mesh: jobs of other nodes are not seen',
    file: jobsFile,
    find: 'return this.#leads === undefined ? undefined : this.#runningElsewhere(kind)',
    replace: 'return undefined',
    guard: jobs,
  },
  {
    what: 'mesh: a closed job writes over what came since',
    file: jobsFile,
    find: "checks: [{ check: 'unchanged', in: 'jobs', key: id, row: stored }]",
    replace: 'checks: []',
    guard: jobs,
  },
  {
    what: 'mesh: a job does not hear that its lead is lost',
    file: jobsFile,
    find: "else lead?.signal.addEventListener('abort', () => stop.abort(), { once: true })",
    replace: '',
    guard: vitest('unit', 'test/unit/jobs/mesh-jobs.test.ts'),
  },
  {
    what: 'mesh: a run that is put out is not told that its leads are gone',
    file: leads,
    find: 'if (it.member === this.#member && it.boot === this.#boot) this.#loseAll()',
    replace: '',
    guard: front,
  },
  {
    what: 'mesh: a lead that comes late stays with nobody',
    file: leads,
    find: "if (wanted === undefined) return this.#submit([{ control: 'yield', job }])",
    replace: 'if (wanted === undefined) return',
    guard: front,
  },
  {
    what: 'mesh: a lead that was taken since is given back with an older one',
    file: leads,
    find: 'if (held === undefined || held.check.index !== check.index) return',
    replace: 'if (held === undefined) return',
    guard: front,
  },
  {
    what: 'mesh: of a member’s beats the one that was most late counts',
    file: 'src/mesh/clocks.ts',
    find: 'const ahead = Math.max(...all)',
    replace: 'const ahead = Math.min(...all)',
    guard: front,
  },
  {
    what: 'mesh: a collection does not wait for clocks that are apart',
    file: 'src/gc/collector.ts',
    find: 'now: this.#options.clock.now() - this.#spreadMs,',
    replace: 'now: this.#options.clock.now(),',
    guard: collection,
  },
  {
    what: 'mesh: a collection runs with clocks that are far apart',
    file: 'src/gc/clock-guard.ts',
    find: 'return this.#doubt ?? this.#apart',
    replace: 'return this.#doubt',
    guard: collection,
  },
  {
    what: 'mesh: a time of a pull counts as the last pull',
    file: 'src/gc/mark/repository.ts',
    find: '(pulledAt ?? 0) + rules.pullsLagMs > cutoff',
    replace: '(pulledAt ?? 0) > cutoff',
    guard: collection,
  },
  {
    what: 'mesh: a plan of another node is applied',
    file: 'src/gc/plan/plans.ts',
    find: 'if (run === undefined || member === undefined || member === run.member) return',
    replace: 'if (run === undefined || member === undefined || member > 0) return',
    guard: collection,
  },
  {
    what: 'mesh: the plan of a run that is gone waits for ever',
    file: 'src/gc/collector.ts',
    find: 'if (left !== undefined && left.job !== state.job) await this.#fail(left)',
    replace: '',
    guard: collection,
  },
  {
    what: 'mesh: a collection goes on with the run of another node',
    file: 'src/gc/collector.ts',
    find: 'return run !== undefined && job?.member === run.member ? state.job : undefined',
    replace: 'return run !== undefined && job !== undefined ? state.job : undefined',
    guard: collection,
  },
  {
    what: 'mesh: every pull goes into the log',
    file: 'src/distribution/pull-times.ts',
    find: 'return stored === undefined || at - stored >= this.#againMs',
    replace: 'return stored === undefined || at - stored >= 0',
    guard: collection,
  },
  {
    what: 'mesh: every node runs a source at its time',
    file: 'src/sync/runs/runner.ts',
    find: 'if (!isOurs) return',
    replace: '',
    guard: source,
  },
  {
    what: 'mesh: a run that a node has left is gone on with by none',
    file: 'src/sync/runs/runner.ts',
    find: 'return isShared && this.#state.row.running !== undefined',
    replace: 'return false && isShared',
    guard: source,
  },
  {
    what: 'mesh: a run does not look whether another node has paused it',
    file: 'src/sync/shared-source.ts',
    find: "if (journal.state(config.name)?.isPaused === true) active.stop('paused')",
    replace: '',
    guard: source,
  },
  {
    what: 'mesh: notes of a run that was overtaken stop those of others',
    file: 'src/sync/journal.ts',
    find: 'if (!(error instanceof LeadLost)) throw error',
    replace: 'throw error',
    guard: source,
  },
  {
    what: 'mesh: two nodes make room in the mirrors at once',
    file: 'src/mirror/eviction.ts',
    find: 'shared === undefined ? this.#evict() : shared.evict(() => this.#evictCounted())',
    replace: 'shared === undefined ? this.#evict() : this.#evictCounted()',
    guard: mirrors,
  },
  {
    what: 'mesh: room is made by an old count',
    file: 'src/mirror/eviction.ts',
    find: 'await this.#countAll()\n    if (this.#isOver(highShare)) await this.#evict()',
    replace: 'await this.#evict()',
    guard: mirrors,
  },
  {
    what: 'mesh: the file of a plan that is being made goes',
    file: 'src/gc/plan/plans.ts',
    find: 'madeAt === undefined || madeAt >= before ||',
    replace: 'madeAt === undefined ||',
    guard: collection,
  },
  {
    what: 'mesh: files of plans without rows stay for ever',
    file: 'src/gc/plan/plans.ts',
    find: 'if (this.#options.run !== undefined) await this.#dropFiles()',
    replace: '',
    guard: collection,
  },
]
