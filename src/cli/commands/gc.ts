/**
 * @module `fastregistry gc`: runs, plans, applies, explains, through the admin API.
 */
import { type Admin, type Json, printTable, withAdmin } from '../admin-client.ts'
import { bar, showProgress } from '../bar.ts'
import type { CommandLine, RunCommand } from '../command.ts'
import type { Terminal } from '../terminal.ts'

interface Job {
  readonly id: string
  readonly state: string
  readonly message?: string
  readonly counts: Readonly<Record<string, number>>
  readonly plan?: string
}

/** How often a running job is asked about, ms. */
const askEveryMs = 500

/** The command without a further word. */
export const gcStatusOrPlan: RunCommand = (line, terminal) =>
  line.has('dry-run') ? gcPlan(line, terminal) : gcStatus(line, terminal)

export const gcStatus: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async ({ ask }) => {
    terminal.print(JSON.stringify(await ask('GET', '/admin/gc'), null, 2))
    return 0
  })

export const gcPlan: RunCommand = (line, terminal) => collect(line, terminal, true)

export const gcRun: RunCommand = (line, terminal) => collect(line, terminal, line.has('dry-run'))

function collect(line: CommandLine, terminal: Terminal, dryRun: boolean): Promise<number> {
  return withAdmin(line, terminal, async (admin) => {
    const body = { dryRun, acceptClock: line.has('accept-clock') }
    return followJob(admin, terminal, await admin.ask('POST', '/admin/gc', body))
  })
}

export const gcApply: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async (admin) => {
    const path = `/admin/gc/plans/${line.operands[0]!}/apply`
    const body = { acceptClock: line.has('accept-clock') }
    return followJob(admin, terminal, await admin.ask('POST', path, body))
  })

export const gcShow: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async ({ ask, isJson }) => {
    let after = ''
    do {
      const path = `/admin/gc/plans/${line.operands[0]!}/items?limit=1000${after}`
      const page = await ask('GET', path)
      const items = page['items'] as Json[]
      if (isJson) for (const item of items) terminal.print(JSON.stringify(item))
      else if (items.length > 0) {
        const rows = items.map((it) => [it['kind'], whatOf(it), it['bytes'], it['reason']])
        printTable(terminal, ['KIND', 'WHAT', 'BYTES', 'WHY'], rows)
      }
      after = page['next'] === undefined ? '' : `&after=${String(page['next'])}`
    } while (after !== '')
    return 0
  })

function whatOf({ repository, tag, digest }: Json): string {
  const reference = tag === undefined ? `@${String(digest)}` : `:${String(tag)}`
  return `${String(repository ?? '')}${reference}`
}

export const gcExplain: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async ({ ask, isJson }) => {
    const json = await ask('GET', `/admin/explain?of=${encodeURIComponent(line.operands[0]!)}`)
    if (isJson) terminal.print(JSON.stringify(json, null, 2))
    else {
      const verdicts = json['verdicts'] as Json[]
      const rows = verdicts.map((it) => [
        it['name'],
        it['stays'] === true ? 'stays' : 'goes',
        it['goesAt'],
        it['reason'],
      ])
      printTable(terminal, ['NAME', 'VERDICT', 'UNTIL', 'WHY'], rows)
    }
    return 0
  })

/** Asks until the job has ended; exit code 0 only when it ended well. */
export async function followJob(
  { ask, isJson, isOffline }: Admin,
  terminal: Terminal,
  started: Json,
): Promise<number> {
  let job = started['job'] as Job
  while (job.state === 'running') {
    const waitMs = isOffline ? askEveryMs / 10 : askEveryMs
    await new Promise((resolve) => setTimeout(resolve, waitMs))
    const json = await ask('GET', `/admin/jobs/${job.id}`)
    job = json as unknown as Job
    if (!isJson) showProgress(progress(job))
  }
  if (!isJson) showProgress('')
  if (isJson) terminal.print(JSON.stringify(job, null, 2))
  else {
    terminal.print(`${job.state}${job.message === undefined ? '' : `: ${job.message}`}`)
    if (job.plan !== undefined) terminal.print(`plan ${job.plan}`)
    printTable(terminal, ['COUNTED', 'NUMBER'], Object.entries(job.counts))
  }
  return job.state === 'done' ? 0 : 1
}

/** A bar of what is removed against what the plan holds. */
function progress({ counts }: Job): string {
  const sum = (isRemoved: boolean) =>
    Object.entries(counts)
      .filter(([kind]) => /^(removed-)?(tag|manifest|link|blob|skipped)$/.test(kind))
      .filter(([kind]) => kind.startsWith('removed-') === isRemoved)
      .reduce((total, [, count]) => total + count, 0)
  const [done, all] = [sum(true), sum(false)]
  return `${bar(done, all)} ${done} of ${all}`
}
