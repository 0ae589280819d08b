/**
 * @module `fastregistry gc`: runs, plans, applies, explains, through the admin API.
 */
import { type AdminFlags, askServer, commonHelp, printTable, withFlags } from '../admin-client.ts'
import type { RunCommand } from '../feature-commands.ts'
import type { Terminal } from '../terminal.ts'

const usage = `Usage: fastregistry gc run|plan|apply PLAN|show PLAN|status|explain NAME[:TAG|@DIGEST]${commonHelp}
  --dry-run        run: the same as plan
  --accept-clock   run, plan, apply: the clock is right although it jumped`

interface Job {
  readonly id: string
  readonly state: string
  readonly message?: string
  readonly counts: Readonly<Record<string, number>>
  readonly plan?: string
}

/** How often a running job is asked about, ms. */
const askEveryMs = 500

export const gc: RunCommand = (args, terminal) =>
  withFlags(args, terminal, usage, { switches: ['accept-clock', 'dry-run'] }, (flags) =>
    work(flags, terminal),
  )

async function work(flags: AdminFlags, terminal: Terminal): Promise<number | undefined> {
  const isDry = flags.flags.has('dry-run')
  const [verb = isDry ? 'plan' : 'status', operand, ...rest] = flags.operands
  if (rest.length > 0) return undefined
  const acceptClock = flags.flags.has('accept-clock')
  const ask = (method: string, path: string, body?: object) =>
    askServer(flags, terminal.environment, method, path, body)
  const show = (json: object) => terminal.print(JSON.stringify(json, null, 2))
  switch (verb) {
    case 'run':
    case 'plan':
      return follow(
        flags,
        terminal,
        await ask('POST', '/admin/gc', { dryRun: verb === 'plan' || isDry, acceptClock }),
      )
    case 'apply':
      if (operand === undefined) return undefined
      return follow(
        flags,
        terminal,
        await ask('POST', `/admin/gc/plans/${operand}/apply`, { acceptClock }),
      )
    case 'status':
      show(await ask('GET', '/admin/gc'))
      return 0
    case 'show': {
      if (operand === undefined) return undefined
      let after = ''
      do {
        const page = await ask('GET', `/admin/gc/plans/${operand}/items?limit=1000${after}`)
        const items = page['items'] as Record<string, unknown>[]
        if (flags.isJson) for (const item of items) terminal.print(JSON.stringify(item))
        else {
          const rows = items.map((it) => [
            it['kind'],
            `${String(it['repository'] ?? '')}${it['tag'] === undefined ? `@${String(it['digest'])}` : `:${String(it['tag'])}`}`,
            it['bytes'],
            it['reason'],
          ])
          if (rows.length > 0) printTable(terminal, ['KIND', 'WHAT', 'BYTES', 'WHY'], rows)
        }
        after = page['next'] === undefined ? '' : `&after=${String(page['next'])}`
      } while (after !== '')
      return 0
    }
    case 'explain': {
      if (operand === undefined) return undefined
      const json = await ask('GET', `/admin/explain?of=${encodeURIComponent(operand)}`)
      if (flags.isJson) show(json)
      else {
        const verdicts = json['verdicts'] as Record<string, unknown>[]
        const rows = verdicts.map((it) => [
          it['name'],
          it['stays'] === true ? 'stays' : 'goes',
          it['goesAt'],
          it['reason'],
        ])
        printTable(terminal, ['NAME', 'VERDICT', 'UNTIL', 'WHY'], rows)
      }
      return 0
    }
    default:
      return undefined
  }
}

/** Asks until the job has ended; exit code 0 only when it ended well. */
async function follow(
  flags: AdminFlags,
  terminal: Terminal,
  started: Record<string, unknown>,
): Promise<number> {
  let job = started['job'] as Job
  while (job.state === 'running') {
    const waitMs = flags.offline === undefined ? askEveryMs : askEveryMs / 10
    await new Promise((resolve) => setTimeout(resolve, waitMs))
    const json = await askServer(flags, terminal.environment, 'GET', `/admin/jobs/${job.id}`)
    job = json as unknown as Job
    if (!flags.isJson && process.stderr.isTTY) process.stderr.write(`\r${progress(job)}\u001b[K`)
  }
  if (!flags.isJson && process.stderr.isTTY) process.stderr.write('\r\u001b[K')
  if (flags.isJson) terminal.print(JSON.stringify(job, null, 2))
  else {
    terminal.print(`${job.state}${job.message === undefined ? '' : `: ${job.message}`}`)
    if (job.plan !== undefined) terminal.print(`plan ${job.plan}`)
    printTable(terminal, ['COUNTED', 'NUMBER'], Object.entries(job.counts))
  }
  return job.state === 'done' ? 0 : 1
}

const barWidth = 30

/** A bar of what is removed against what the plan holds. */
function progress({ counts }: Job): string {
  const sum = (isRemoved: boolean) =>
    Object.entries(counts)
      .filter(([kind]) => /^(removed-)?(tag|manifest|link|blob|skipped)$/.test(kind))
      .filter(([kind]) => kind.startsWith('removed-') === isRemoved)
      .reduce((total, [, count]) => total + count, 0)
  const [done, all] = [sum(true), sum(false)]
  const filled = all === 0 ? 0 : Math.min(barWidth, Math.round((done / all) * barWidth))
  return `[${'#'.repeat(filled)}${'-'.repeat(barWidth - filled)}] ${done} of ${all}`
}
