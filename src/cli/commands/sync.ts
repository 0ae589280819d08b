/**
 * @module `fastregistry sync`: lists, runs, follows, explains, prunes by plan, cancels, pauses, through the admin API of a running
 * server.
 */
import { type Admin, type Json, printTable, withAdmin } from '../admin-client.ts'
import { showProgress } from '../bar.ts'
import type { CommandLine, RunCommand } from '../command.ts'
import { Misuse } from '../command-line.ts'
import type { Terminal } from '../terminal.ts'
import { followJob } from './gc.ts'
import { progressOf, type SyncState } from './sync-progress.ts'

/** How often a run is asked about, ms. */
const askEveryMs = 500

/** The exit code of each result of a run. */
const EXIT_CODES: Readonly<Record<string, number>> = { ok: 0, partial: 3 }

export const syncList: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async ({ ask, isJson }) => {
    const json = await ask('GET', '/admin/sync/jobs')
    if (isJson) return printJson(terminal, json)
    const rows = (json['details'] as Json[]).map((it) => [
      it['name'],
      it['type'],
      it['url'],
      it['state'],
      it['last_run'],
      it['last_result'],
      it['next_run'],
    ])
    printTable(terminal, ['SOURCE', 'TYPE', 'URL', 'STATE', 'LAST RUN', 'RESULT', 'NEXT RUN'], rows)
    return 0
  })

export const syncRun: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async (admin) => {
    const { ask, isJson } = admin
    const isDry = line.has('dry-run')
    if (isDry && line.has('wait')) throw new Misuse('use either --dry-run or --wait, not both')
    const answer = await ask('POST', pathOf('trigger', line), requestOf(line))
    if (isDry) return printPlan(terminal, isJson, answer)
    const id = answer['id'] as string | undefined
    if (line.has('wait')) {
      // A paused source starts no run that could be waited for.
      if (id === undefined) throw new Error(String(answer['message']))
      return follow(admin, terminal, line, id)
    }
    if (isJson) return printJson(terminal, answer)
    terminal.print(`${String(answer['message'])}${id === undefined ? '' : `: job ${id}`}`)
    return 0
  })

function requestOf(line: CommandLine): object {
  const names = (flag: string) => (line.has(flag) ? { [flag]: line.list(flag) } : {})
  return {
    dry_run: line.has('dry-run'),
    full: line.has('full'),
    force: line.has('force'),
    prune_plan: line.has('prune-plan'),
    ...names('repositories'),
    ...names('tags'),
  }
}

function printPlan(terminal: Terminal, isJson: boolean, plan: Json): number {
  if (isJson) return printJson(terminal, plan)
  const rows = (plan['items'] as Json[]).map((it) => [
    it['action'],
    it['tag'] === '' ? it['repository'] : `${String(it['repository'])}:${String(it['tag'])}`,
    it['reason'],
    it['upstream_expires'],
  ])
  printTable(terminal, ['ACTION', 'TAG', 'WHY', 'ENDS UPSTREAM'], rows)
  for (const line of planSums(plan, rows.length)) terminal.print(line)
  return 0
}

function planSums(plan: Json, count: number): string[] {
  const omitted = Number(plan['omitted'] ?? 0)
  const { bytes, requests, free_bytes: free, budget } = plan
  const more = omitted > 0 ? ` of ${count + omitted}` : ''
  const lines = [
    `${count}${more} tags, ${String(bytes)} bytes to fetch, ${String(requests)} requests`,
  ]
  if (free !== undefined) {
    const isShort = Number(bytes) > Number(free)
    lines.push(`${String(free)} bytes are free here${isShort ? ': too few' : ''}`)
  }
  const { limit, remaining } = (budget ?? {}) as Json
  if (remaining !== undefined) {
    const of = limit === undefined ? '' : ` of ${String(limit)}`
    lines.push(`upstream says that ${String(remaining)}${of} requests are left`)
  }
  return lines
}

export const syncStatus: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async (admin) => {
    const status = await statusOf(admin, line)
    const running = status.running_job
    if (line.has('follow') && running !== undefined) return follow(admin, terminal, line, running)
    return printStatus(terminal, admin.isJson, status)
  })

async function statusOf({ ask }: Admin, line: CommandLine): Promise<SyncState & Json> {
  return (await ask('GET', pathOf('status', line))) as unknown as SyncState & Json
}

/** Asks until the run has ended, and reports what came of it. */
async function follow(
  admin: Admin,
  terminal: Terminal,
  line: CommandLine,
  id: string,
): Promise<number> {
  const { ask, isJson } = admin
  let status = await statusOf(admin, line)
  while (status.running_job === id) {
    if (!isJson) showProgress(progressOf(status))
    await new Promise((resolve) => setTimeout(resolve, askEveryMs))
    status = await statusOf(admin, line)
  }
  if (!isJson) showProgress('')
  printStatus(terminal, isJson, status)
  // The next run may have begun since: what came of this one is in its own row.
  const { runs } = (await ask('GET', pathOf('runs', line))) as unknown as { readonly runs: Json[] }
  const result = runs.find(({ job }) => job === id)?.['result'] ?? status.result
  return EXIT_CODES[String(result)] ?? 1
}

function printStatus(terminal: Terminal, isJson: boolean, status: SyncState & Json): number {
  if (isJson) return printJson(terminal, status)
  const result = status.result === undefined ? '' : `, last run ${status.result}`
  terminal.print(`${String(status['name'])}: ${status.state}${result}`)
  if (status.message !== undefined) terminal.print(status.message)
  const { upstream_expiring: ends } = status
  if (ends !== undefined) {
    terminal.print(
      `upstream lets ${ends.tags} tags end, the first at ${ends.first}; they stay here`,
    )
  }
  const counted = Object.entries(status.counts).filter(([, count]) => count > 0)
  if (counted.length > 0) printTable(terminal, ['COUNTED', 'NUMBER'], counted)
  if (status.failures.length > 0) {
    const rows = status.failures.map(({ repository, tag, reason, message, next_retry }) => [
      tag === undefined ? repository : `${repository}:${tag}`,
      reason,
      message,
      next_retry,
    ])
    printTable(terminal, ['FAILED', 'REASON', 'WHY', 'TRIED AGAIN'], rows)
  }
  return 0
}

export const syncExplain: RunCommand = (line, terminal) => {
  const [, reference = ''] = line.operands
  const colon = reference.lastIndexOf(':')
  if (colon <= 0 || colon === reference.length - 1) {
    throw new Misuse(`"${reference}" is not REPOSITORY:TAG`)
  }
  const query = new URLSearchParams({
    repository: reference.slice(0, colon),
    tag: reference.slice(colon + 1),
  })
  return withAdmin(line, terminal, async ({ ask, isJson }) => {
    const json = await ask('GET', `${pathOf('explain', line)}?${query}`)
    if (isJson) return printJson(terminal, json)
    printTable(terminal, ['FIELD', 'VALUE'], Object.entries(json))
    return 0
  })
}

export const syncPlan: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async (admin) => {
    const [plan] = line.operands
    if (plan !== undefined) return showPlan(admin, terminal, plan)
    const json = await admin.ask('GET', '/admin/sync/plans')
    if (admin.isJson) return printJson(terminal, json)
    const rows = (json['plans'] as Json[]).map((it) => [
      it['id'],
      it['source'],
      it['state'],
      it['createdAt'],
      (it['reasons'] as string[]).join(', '),
    ])
    printTable(terminal, ['PLAN', 'SOURCE', 'STATE', 'MADE', 'WAITS BECAUSE'], rows)
    return 0
  })

async function showPlan({ ask, isJson }: Admin, terminal: Terminal, plan: string): Promise<number> {
  let after = ''
  do {
    const page = await ask('GET', `${planPath(plan)}/items?limit=1000${after}`)
    const items = page['items'] as Json[]
    if (isJson) for (const item of items) terminal.print(JSON.stringify(item))
    else if (items.length > 0) {
      const rows = items.map((it) => [
        `${String(it['repository'])}:${String(it['tag'])}`,
        it['digest'],
        it['rule'],
      ])
      printTable(terminal, ['TAG', 'DIGEST', 'WHY'], rows)
    }
    const { next } = page
    after = next === undefined ? '' : `&after=${encodeURIComponent(String(next))}`
  } while (after !== '')
  return 0
}

export const syncApply: RunCommand = (line, terminal) =>
  withAdmin(line, terminal, async (admin) => {
    const started = await admin.ask('POST', `${planPath(line.operands[0]!)}/apply`, {})
    return followJob(admin, terminal, started)
  })

function planPath(plan: string): string {
  return `/admin/sync/plans/${encodeURIComponent(plan)}`
}

export const syncCancel: RunCommand = (line, terminal) => change('cancel', line, terminal)
export const syncPause: RunCommand = (line, terminal) => change('pause', line, terminal)
export const syncResume: RunCommand = (line, terminal) => change('resume', line, terminal)

function change(what: string, line: CommandLine, terminal: Terminal): Promise<number> {
  return withAdmin(line, terminal, async ({ ask, isJson }) => {
    const json = await ask('POST', pathOf(what, line), {})
    if (isJson) return printJson(terminal, json)
    terminal.print(String(json['message']))
    return 0
  })
}

function pathOf(what: string, line: CommandLine): string {
  return `/admin/sync/${what}/${encodeURIComponent(line.operands[0]!)}`
}

function printJson(terminal: Terminal, json: Json): number {
  terminal.print(JSON.stringify(json, null, 2))
  return 0
}
