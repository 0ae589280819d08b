/**
 * @module The collection's worker: makes plans, turns plans into steps, finds what is due to go for
 * good. One task at a time; it reads and says, the main thread commits.
 */

import { openBin } from '../../blobs/driver.ts'
import { LmdbEnvironment } from '../../metadata/lmdb/environment.ts'
import { inPages } from '../../metadata/lmdb/pages.ts'
import { assertNever } from '../../registry/assert-never.ts'
import { nextTurn } from '../../runtime/next-turn.ts'
import { lowerPriority } from '../../runtime/priority.ts'
import { toWorkerFailure } from '../../runtime/worker-failure.ts'
import { explain } from '../mark/explain.ts'
import { compileRules } from '../mark/rules.ts'
import { walk } from '../mark/walk.ts'
import { PlanWriter, readPlan } from '../plan/file.ts'
import type { PlanItem } from '../plan/item.ts'
import { PlannedManifests } from '../plan/planned.ts'
import { toCandidate } from '../sweep/candidates.ts'
import { purge } from '../sweep/purge.ts'
import { type Found, Link } from './link.ts'
import type { Counts, GcSetup, MarkTask, PurgeTask, SweepTask } from './messages.ts'

/** Progress of a walk is told this often, ms. */
const tellEveryMs = 1_000

/** Suspects that are gathered before they are told. */
const suspectsMax = 20_000

export async function runTask({ port, setup, task }: GcSetup): Promise<void> {
  const bin = await openBin(setup.driver)
  const environment = new LmdbEnvironment(setup.metadata, false)
  const link = new Link(port, bin)
  lowerPriority()
  try {
    switch (task.kind) {
      case 'mark':
        await mark(environment, task, link)
        break
      case 'sweep':
        for await (const found of sweep(task)) {
          await link.add(found, environment)
          if (link.isStopped) break
        }
        await link.flush(environment)
        break
      case 'purge':
        await purgeAll(environment, task, link)
        break
      case 'explain':
        link.reply({ kind: 'explained', items: explain(environment, task) })
        break
      case 'total':
        link.reply({ kind: 'total', bytes: total(environment) })
        break
      default:
        assertNever(task)
    }
    link.reply({ kind: 'ended', isComplete: !link.isStopped, failure: undefined })
  } catch (error) {
    link.reply({ kind: 'ended', isComplete: false, failure: toWorkerFailure(error) })
  }
  // The last answer and the end of the task travel on different channels: wait to be let go.
  await link.released
  await environment.close()
}

async function mark(environment: LmdbEnvironment, task: MarkTask, link: Link): Promise<void> {
  const writer = await PlanWriter.open(task.planFile, task.fileBytes)
  const counts: Counts = { heldTags: 0 }
  const rules = new Set<string>()
  const heldRules = new Set<string>()
  let bytes = 0
  const count = (item: PlanItem) => {
    counts[item.kind] = (counts[item.kind] ?? 0) + 1
    bytes += item.bytes
    if (item.kind === 'tag' && item.approval !== undefined) rules.add(item.approval)
  }
  const planned = new PlannedManifests()
  if (task.fileBytes > 0) {
    for await (const { item } of readPlan(task.planFile, 0)) {
      count(item)
      if (item.kind === 'manifest') planned.add(item.repository, item.digest)
    }
  }
  const approved = task.approved === undefined ? undefined : new Set(task.approved)
  const mirrored = new Set(task.mirrored)
  const pins = new Map<string, (typeof task.pins)[number][1][]>()
  for (const [digest, row] of task.pins) {
    const list = pins.get(digest)
    if (list === undefined) pins.set(digest, [row])
    else list.push(row)
  }
  let toldAt = performance.now()
  let stage = task.from.stage
  const suspects = new Set<string>()
  /** In the order of the index, so that neighbours share pages. */
  const tellSuspects = async () => {
    const sorted = [...suspects].sort()
    suspects.clear()
    for (const digest of sorted) {
      await link.add({ candidate: { kind: 'suspect', digest }, end: 0 }, environment)
    }
  }
  try {
    await walk(
      {
        environment,
        rules: compileRules(task.config, task.pullsLagMs),
        now: task.now,
        pinsOf: (digest) => pins.get(digest) ?? [],
        mayDelete: (approval) => approved === undefined || approved.has(approval),
        isMirrored: (repository) => mirrored.has(repository),
        isStopped: () => link.isStopped,
        onItem: (item) => {
          count(item)
          writer.add(item)
        },
        onHeld: (tags, held) => {
          counts['heldTags'] = (counts['heldTags'] ?? 0) + tags
          for (const rule of held) heldRules.add(rule)
        },
        onSuspect: (digest) => suspects.add(digest),
        onCandidate: (candidate) => link.add({ candidate, end: 0 }, environment),
        onStep: async (cursor) => {
          const isDue = cursor.stage !== stage || performance.now() - toldAt > tellEveryMs
          if (isDue || suspects.size > suspectsMax) {
            // What the index of candidates lacks is on disk before the place is: see `walk`.
            await tellSuspects()
            await link.flush(environment)
          }
          if (isDue || writer.isFull) await writer.flush()
          // The port is only heard when the thread has nothing else to do.
          await nextTurn()
          if (!isDue) return
          toldAt = performance.now()
          stage = cursor.stage
          link.reply({
            kind: 'marked',
            cursor,
            fileBytes: writer.bytes,
            counts: { ...counts },
            bytes,
            heldRules: [...heldRules],
            rules: [...rules],
          })
        },
      },
      planned,
      task.from,
    )
  } finally {
    await writer.close()
  }
}

async function* sweep({ planFile, offset }: SweepTask): AsyncGenerator<Found> {
  for await (const { item, end } of readPlan(planFile, offset)) {
    yield { candidate: toCandidate(item), end }
  }
}

async function purgeAll(environment: LmdbEnvironment, task: PurgeTask, link: Link): Promise<void> {
  const oldest: Record<string, number> = { ...task.oldest }
  const due = purge(environment, task.before, task.oldest, (database, at) => {
    oldest[database] = at
  })
  for (const candidate of due) {
    await link.add({ candidate, end: 0 }, environment)
    if (link.isStopped) return
  }
  await link.flush(environment)
  if (!link.isStopped) link.reply({ kind: 'purged', oldest })
}

/** Bytes of all blobs. */
function total(environment: LmdbEnvironment): number {
  let bytes = 0
  for (const { row } of inPages(environment, 'blobs')) bytes += row.sizeBytes
  return bytes
}
