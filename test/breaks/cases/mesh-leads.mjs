/** @module The breaks of work that the nodes of a mesh share: one at once, each time once, nothing by who was overtaken. */
import { vitest } from '../breaks.mjs'

const apply = vitest('unit', 'test/unit/metadata/leads.test.ts')
const front = vitest('unit', 'test/unit/mesh/leads.test.ts')
const jobs = vitest('unit', 'test/unit/jobs/mesh-jobs.test.ts')
const simulation = vitest('unit', 'test/unit/mesh/cron.test.ts', { MESH_SEEDS: '25' })

const applyLeads = 'src/metadata/apply/leads.ts'
const leads = 'src/mesh/leads.ts'
const jobsFile = 'src/jobs/jobs.ts'
const ticks = 'src/jobs/ticks.ts'

export const BREAKS = [
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
    find: 'return session.presentAt > 0 && session.presentAt <= index',
    replace: 'return session.presentAt <= index',
    guard: apply,
  },
  {
    what: 'mesh: a run that comes in again has its lead again',
    file: applyLeads,
    find: 'return session.presentAt > 0 && session.presentAt <= index',
    replace: 'return session.presentAt > 0',
    guard: apply,
  },
  {
    what: 'mesh: the next run of a member has the lead of the one before',
    file: applyLeads,
    find: 'if (session === undefined || session.boot !== boot) return false',
    replace: 'if (session === undefined) return false',
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
]
