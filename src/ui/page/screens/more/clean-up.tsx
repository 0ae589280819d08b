/**
 * @module Clean-up: when it runs, what it has planned and what a plan removes, what is pinned.
 */
import type { Job, Pin } from '../../core/answers.ts'
import { call, get, part, post } from '../../core/api.ts'
import { number } from '../../core/format.ts'
import { useLoaded } from '../../core/load.ts'
import { route, setQuery, toImage, toRepository } from '../../core/router.ts'
import { texts } from '../../messages/catalogue.ts'
import { showDialog } from '../../parts/dialog.tsx'
import { say } from '../../parts/notice.tsx'
import { Rows } from '../../parts/rows.tsx'
import { Empty, Ready } from '../../parts/states.tsx'
import { Tabs } from '../../parts/tabs.tsx'
import { Digest, Size, Time } from '../../parts/values.tsx'
import { Buttons, useAction } from '../delete.tsx'

interface Status {
  readonly enabled: boolean
  readonly schedule: string
  readonly nextAt?: string
  readonly running?: string
  readonly lastJob?: Job
  readonly clockDoubt?: string
}

interface Plan {
  readonly id: string
  readonly createdAt: string
  readonly by: string
  readonly kind: string
  readonly state: string
  readonly counts: Readonly<Record<string, number>>
  readonly bytes: number
  readonly unapproved: readonly string[]
  readonly message?: string
}

interface Item {
  readonly kind: string
  readonly repository?: string
  readonly tag?: string
  readonly digest: string
  readonly bytes: number
  readonly rule: string
  readonly reason: string
  readonly lastUsedAt: string
}

export function CleanUp() {
  const t = texts.value
  const { query } = route.value
  const tab = query.get('tab') ?? 'plans'
  const plan = query.get('plan')
  return (
    <>
      <div class="title">
        <h1>{t.cleanUp}</h1>
      </div>
      <Run />
      <Tabs
        label={t.cleanUp}
        chosen={tab}
        onChoose={(id) => setQuery({ tab: id === 'plans' ? '' : id, plan: '' })}
        tabs={[
          { id: 'plans', title: t.plans },
          { id: 'pins', title: t.pins },
        ]}
      />
      <div id="tab-panel" role="tabpanel" aria-labelledby={`tab-${tab}`}>
        {tab === 'pins' && <Pins />}
        {tab === 'plans' && (plan === null ? <Plans /> : <OnePlan id={plan} />)}
      </div>
    </>
  )
}

function Run() {
  const t = texts.value
  const status = useLoaded('gc', (stop) => get<Status>('admin/gc', undefined, stop))
  const { isBusy, problem, run } = useAction()
  const makePlan = () =>
    run(async () => {
      const { plan } = await post<{ readonly plan?: string }>('admin/gc', {
        dryRun: true,
        wait: true,
      })
      status.reload()
      setQuery({ plan, tab: '' })
    })
  return (
    <Ready of={status}>
      {({ enabled, schedule, nextAt, running, lastJob, clockDoubt }) => (
        <>
          {clockDoubt !== undefined && <p class="banner">{clockDoubt}</p>}
          <p class="facts">
            <span>
              {running === undefined ? (enabled ? t.cleanUpOn(schedule) : t.cleanUpOff) : t.runsNow}
            </span>
            {nextAt !== undefined && (
              <span>
                {t.nextRun} <Time at={nextAt} />
              </span>
            )}
            {lastJob !== undefined && (
              <span>
                {t.lastRun} <Time at={lastJob.createdAt} />, {lastJob.state}
              </span>
            )}
            <button type="button" disabled={isBusy} onClick={makePlan}>
              {t.makePlan}
            </button>
          </p>
          {problem !== undefined && (
            <p class="problem" role="alert">
              {problem}
            </p>
          )}
        </>
      )}
    </Ready>
  )
}

function Plans() {
  const t = texts.value
  const found = useLoaded('plans', (stop) =>
    get<{ readonly plans: readonly Plan[] }>('admin/gc/plans', undefined, stop),
  )
  return (
    <Ready of={found}>
      {({ plans }) =>
        plans.length === 0 ? (
          <Empty title={t.noPlans}>
            <p>{t.noPlansStep}</p>
          </Empty>
        ) : (
          <Rows
            rows={plans}
            keyOf={({ id }) => id}
            columns={[
              {
                title: t.made,
                cell: ({ id, createdAt }) => (
                  <button type="button" class="link" onClick={() => setQuery({ plan: id })}>
                    <Time at={createdAt} />
                  </button>
                ),
              },
              { title: t.kind, cell: ({ kind }) => kind },
              { title: t.by, cell: ({ by }) => by },
              { title: t.state, cell: ({ state, message }) => `${state} ${message ?? ''}` },
              { title: t.what, cell: ({ counts }) => countsOf(counts) },
              { title: t.size, isNumber: true, cell: ({ bytes }) => <Size bytes={bytes} /> },
            ]}
          />
        )
      }
    </Ready>
  )
}

function countsOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${number(count)} ${name}`)
    .join(', ')
}

/** Items of a plan that are drawn. */
const itemsShown = 200

function OnePlan({ id }: { readonly id: string }) {
  const t = texts.value
  const path = `admin/gc/plans/${part(id)}`
  const plan = useLoaded(id, (stop) => get<Plan>(path, undefined, stop))
  const items = useLoaded(`${id} items`, (stop) =>
    get<{ readonly items: readonly Item[]; readonly next?: string }>(
      `${path}/items`,
      { limit: itemsShown },
      stop,
    ),
  )
  return (
    <>
      <Ready of={plan}>
        {({ kind, by, createdAt, state, counts, bytes, unapproved, message }) => (
          <p class="facts">
            <strong>{kind}</strong>
            <span>
              <Time at={createdAt} /> · {by}
            </span>
            <span>{state}</span>
            <span>{countsOf(counts)}</span>
            <Size bytes={bytes} />
            {message !== undefined && <span class="dim">{message}</span>}
            {unapproved.length > 0 && <span class="badge warn">{unapproved.join(', ')}</span>}
            {state === 'ready' && (
              <button
                type="button"
                class="danger"
                onClick={() =>
                  showDialog(t.applyPlan, () => <Apply id={id} onDone={plan.reload} />)
                }
              >
                {t.applyPlan}…
              </button>
            )}
          </p>
        )}
      </Ready>
      <Ready of={items}>
        {({ items: rows, next }) =>
          rows.length === 0 ? (
            <Empty title={t.planIsEmpty} />
          ) : (
            <>
              <Rows
                rows={rows}
                keyOf={(it) => `${it.kind} ${it.repository} ${it.tag} ${it.digest}`}
                columns={[
                  { title: t.kind, cell: ({ kind }) => kind },
                  { title: t.what, cell: (it) => <ItemName of={it} /> },
                  { title: t.size, isNumber: true, cell: (it) => <Size bytes={it.bytes} /> },
                  { title: t.why, cell: ({ rule, reason }) => `${rule}: ${reason}` },
                  { title: t.usedLast, cell: ({ lastUsedAt }) => <Time at={lastUsedAt} /> },
                ]}
              />
              {next !== undefined && <p class="dim">{t.moreThan(rows.length)}</p>}
            </>
          )
        }
      </Ready>
    </>
  )
}

function ItemName({ of: { repository, tag, digest } }: { readonly of: Item }) {
  if (repository === undefined) return <Digest of={digest} />
  return (
    <>
      <a href={tag === undefined ? toRepository(repository) : toImage(repository, tag)}>
        {repository}
        {tag === undefined ? '' : `:${tag}`}
      </a>{' '}
      <Digest of={digest} />
    </>
  )
}

function Apply({ id, onDone }: { readonly id: string; readonly onDone: () => void }) {
  const t = texts.value
  const { problem, isBusy, run } = useAction()
  const submit = () =>
    run(async () => {
      await post(`admin/gc/plans/${part(id)}/apply`, { wait: true })
      onDone()
      say(t.planApplied)
      document.querySelector('dialog')?.close()
    })
  return (
    <div class="form">
      <p>{t.applyPlanWords}</p>
      <Buttons problem={problem} isBusy={isBusy} label={t.applyPlan} run={submit} />
    </div>
  )
}

function Pins() {
  const t = texts.value
  const found = useLoaded('pins', (stop) =>
    get<{ readonly pins: readonly Pin[] }>('admin/pins', undefined, stop),
  )
  const unpin = async ({ digest, name }: Pin) => {
    await call('DELETE', `admin/pins/${part(digest)}/${part(name)}`).catch((error: Error) =>
      say(error.message),
    )
    found.reload()
  }
  return (
    <Ready of={found}>
      {({ pins }) =>
        pins.length === 0 ? (
          <Empty title={t.noPins}>
            <p>{t.noPinsStep}</p>
          </Empty>
        ) : (
          <Rows
            rows={pins}
            keyOf={({ digest, name }) => `${digest} ${name}`}
            columns={[
              { title: t.name, cell: ({ name }) => name },
              {
                title: t.what,
                cell: ({ repository, digest }) =>
                  repository === undefined ? (
                    <Digest of={digest} />
                  ) : (
                    <a href={toImage(repository, digest)}>
                      {repository} <Digest of={digest} />
                    </a>
                  ),
              },
              { title: t.by, cell: ({ by }) => by },
              { title: t.until, cell: ({ expiresAt }) => <Time at={expiresAt} /> },
              { title: t.note, cell: ({ note }) => note },
              {
                title: '',
                cell: (pin) => (
                  <button type="button" onClick={() => unpin(pin)}>
                    {t.unpin}
                  </button>
                ),
              },
            ]}
          />
        )
      }
    </Ready>
  )
}
