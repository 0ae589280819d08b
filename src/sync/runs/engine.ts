/**
 * @module All sources of the configuration, as the rest of the program sees them.
 */
import type { SyncSourceConfig } from '../../config/config.ts'
import { LeadTaken } from '../../jobs/leads.ts'
import type { SyncRunRow } from '../../metadata/rows/upstream.ts'
import { type Random, randomHexId } from '../../runtime/random.ts'
import type { Budget } from '../../upstream/account.ts'
import { writerOf } from '../journal.ts'
import { fingerprintOf } from '../selection/fingerprint.ts'
import { mapName } from '../selection/names.ts'
import { RepositorySelection } from '../selection/repositories.ts'
import { TagFilter } from '../selection/tags.ts'
import type {
  SyncExplanation,
  SyncPlan,
  SyncRequest,
  SyncStatus,
  Syncs,
  SyncTrigger,
} from '../syncs.ts'
import { DryRun } from './dry-run.ts'
import { explainTag } from './explain.ts'
import { Hints } from './hints.ts'
import { HookSecret } from './hook-secret.ts'
import { type RunnerParts, SyncRunner } from './runner.ts'
import { noSyncCounts } from './tally.ts'

export interface SourceParts extends RunnerParts {
  /** What upstream says of its limits. */
  readonly budgets: () => readonly Budget[]
}

interface Source {
  readonly parts: SourceParts
  readonly runner: SyncRunner
  readonly hints: Hints
  readonly secret: HookSecret | undefined
}

export class SyncEngine implements Syncs {
  readonly #sources: ReadonlyMap<string, Source>
  readonly #random: Random

  /** In the order of the configuration. */
  constructor(sources: readonly SourceParts[], random: Random) {
    this.#random = random
    this.#sources = new Map(sources.map((parts) => [parts.config.name, openSource(parts)]))
  }

  get names(): readonly string[] {
    return [...this.#sources.keys()]
  }

  /** Reads the secrets, takes up whose names are whose, and begins what is due. */
  async start(): Promise<void> {
    const all = [...this.#sources.values()]
    await Promise.all(all.map(({ secret }) => secret?.start()))
    for (const { parts } of all) {
      if (mayAdopt(parts)) await adoptOnce(parts)
      await claimStored(parts)
    }
    for (const { runner } of all) runner.start()
  }

  /** Nothing of it runs any more when it resolves. */
  async stop(): Promise<void> {
    const all = [...this.#sources.values()]
    for (const { secret } of all) secret?.stop()
    await Promise.all(all.flatMap(({ runner, hints }) => [runner.stop(), hints.stop()]))
    await all[0]?.parts.journal.flush()
  }

  status(name: string): SyncStatus | undefined {
    const source = this.#sources.get(name)
    if (source === undefined) return undefined
    const { parts, runner } = source
    const { config, journal } = parts
    const { tally, row } = runner
    const [last] = journal.runs(name, 1)
    const [budget] = parts.budgets()
    return {
      name,
      type: config.type,
      url: config.url,
      mode: config.mode,
      schedule: config.schedule,
      state: runner.state,
      message: runner.message,
      phase: runner.runningJob === undefined ? undefined : phaseOf(runner),
      progress: tally?.progress,
      isListingComplete: tally?.isListingComplete ?? last?.isListingComplete ?? false,
      counts: tally?.counts ?? noSyncCounts(),
      failures: tally?.failures ?? [],
      current: tally?.current ?? [],
      rate: tally?.rate ?? 0,
      etaSeconds: runner.runningJob === undefined ? undefined : tally?.etaSeconds,
      expiring: tally?.expiring,
      lastRunAt: row.lastRunAt,
      lastResult: lastResultOf(journal.runs(name, 2)),
      lastOkAt: row.lastOkAt,
      nextRunAt: runner.nextRunAt,
      runningJob: runner.runningJob,
      budget: budget && budgetOf(budget),
      source: shownOf(config),
    }
  }

  async trigger(name: string, request: SyncRequest): Promise<SyncTrigger> {
    const runner = this.#sources.get(name)?.runner
    return runner === undefined ? { kind: 'unknown' } : await runner.trigger(request)
  }

  async dryRun(name: string, request: SyncRequest, signal: AbortSignal): Promise<SyncPlan> {
    const source = this.#sources.get(name)
    if (source === undefined) throw new RangeError(`there is no source ${name}`)
    const plan = await new DryRun(source.parts, request, signal).plan(randomHexId(this.#random))
    const [budget] = source.parts.budgets()
    return budget === undefined ? plan : { ...plan, budget: budgetOf(budget) }
  }

  cancel(name: string): boolean {
    return this.#sources.get(name)?.runner.cancel() === true
  }

  async pause(name: string): Promise<boolean> {
    const runner = this.#sources.get(name)?.runner
    await runner?.pause()
    return runner !== undefined
  }

  async resume(name: string): Promise<boolean> {
    const runner = this.#sources.get(name)?.runner
    await runner?.resume()
    return runner !== undefined
  }

  runs(name: string): readonly SyncRunRow[] {
    return this.#sources.get(name)?.parts.journal.runs(name) ?? []
  }

  async explain(
    name: string,
    repository: string,
    tag: string,
    signal: AbortSignal,
  ): Promise<SyncExplanation | undefined> {
    const source = this.#sources.get(name)
    return source && (await explainTag(source.parts, repository, tag, signal))
  }

  hint(
    name: string,
    changed: readonly { readonly repository: string; readonly tag?: string }[],
  ): void {
    const source = this.#sources.get(name)
    if (source === undefined) return
    for (const { repository, tag } of changed.slice(0, hintsMax)) {
      if (source.parts.selection.isSelected(repository)) source.hints.add(repository, tag)
    }
  }

  async isHookSecret(name: string, secret: string): Promise<boolean | undefined> {
    return this.#sources.get(name)?.secret?.is(secret)
  }
}

/** What a source selects, compiled once. */
export function rulesOf(
  config: SyncSourceConfig,
): Pick<SourceParts, 'fingerprint' | 'selection' | 'filter'> {
  return {
    fingerprint: fingerprintOf(config),
    selection: new RepositorySelection(config),
    filter: new TagFilter(config.tags),
  }
}

/** Names that a source had before: the last of them. */
const formerlyMax = 10

/** Names of one hint. */
const hintsMax = 1_000

function openSource(parts: SourceParts): Source {
  const { config, logger, clock, sleep } = parts
  const runner = new SyncRunner(parts)
  const { hookSecretFile: path } = config
  const warn = (reason: string, error: unknown) =>
    logger.warn({ sync: config.name, reason, error }, 'hook of a sync')
  return {
    parts,
    runner,
    hints: new Hints({
      clock,
      sleep,
      look: (request) => runner.look(request),
      onError: (error) => warn('look', error),
    }),
    secret: path === undefined ? undefined : new HookSecret(path, (error) => warn('secret', error)),
  }
}

/** A source that has another name now goes on with what it knew: once, before its first run. */
function mayAdopt({ journal, config: { name, previously } }: SourceParts): boolean {
  if (previously === undefined || journal.state(name) !== undefined) return false
  return journal.state(previously) !== undefined
}

/** In a mesh one node does it. */
async function adoptOnce(parts: SourceParts): Promise<void> {
  if (parts.ticks === undefined) return adopt(parts)
  const adopting = async () => {
    if (mayAdopt(parts)) await adopt(parts)
  }
  await parts.jobs.under(writerOf(parts.config.name), adopting).catch((error: unknown) => {
    if (!(error instanceof LeadTaken)) throw error
  })
}

async function adopt({ journal, config, metadata }: SourceParts): Promise<void> {
  const { name } = config
  const previously = config.previously!
  const state = journal.state(previously)!
  for await (const { repository, row } of journal.repositories(previously)) {
    for await (const { tag, row: its } of journal.tags(previously, repository)) {
      await journal.noteTag({ source: name, repository, tag }, its)
      await journal.noteTag({ source: previously, repository, tag }, undefined)
    }
    await journal.noteRepository(name, repository, row)
    await journal.noteRepository(previously, repository, undefined)
  }
  await journal.flush()
  // The last, so that a stop in between begins again.
  const { running: _running, formerly = [], ...kept } = state
  await journal.putState(name, { ...kept, formerly: [...formerly, previously].slice(-formerlyMax) })
  await metadata.commit({
    checks: [],
    changes: [{ change: 'delete', in: 'syncStates', key: previously }],
  })
}

/** Names are those of who had them, also before the first run since the start. */
async function claimStored({ journal, config, selection, owners }: SourceParts): Promise<void> {
  for await (const { repository, row } of journal.repositories(config.name)) {
    const mapped = mapName(config, repository)
    const isStill = mapped.kind === 'local' && mapped.name === row.local
    if (!isStill || !selection.isSelected(repository)) continue
    owners.claim(mapped.name, { source: config.name, repository })
  }
}

function phaseOf({ state, tally }: SyncRunner): SyncStatus['phase'] {
  return state === 'waiting' ? 'waiting' : tally?.phase
}

function lastResultOf(runs: readonly SyncRunRow[]): SyncStatus['lastResult'] {
  return runs.find(({ result }) => result !== undefined)?.result as SyncStatus['lastResult']
}

function budgetOf({ limit, remaining }: Budget): NonNullable<SyncStatus['budget']> {
  return {
    ...(limit === undefined ? {} : { limit }),
    ...(remaining === undefined ? {} : { remaining }),
  }
}

/** No secret, and no path of one. */
function shownOf(config: SyncSourceConfig): SyncStatus['source'] {
  const { token, account, hookSecretFile, caFile, proxy, ...shown } = config
  const isCredential = token !== undefined || account !== undefined
  return { ...shown, hasCredential: isCredential, hasHook: hookSecretFile !== undefined }
}
