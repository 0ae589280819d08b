/**
 * @module The collection's worker: makes plans, turns plans into steps, finds what is due to go for
 * good. One task at a time; it reads and says, the main thread commits.
 */
import { History } from '../distribution/history.ts'
import { parseDigest } from '../registry/digest.ts'
import { systemClock } from '../runtime/clock.ts'
import { toWorkerFailure } from '../runtime/worker-messages.ts'
import { LmdbEnvironment } from '../storage/lmdb-environment.ts'
import { storagePaths } from '../storage/paths.ts'
import type { BlobRow } from '../storage/schema.ts'
import type { PlanItem } from './plan-item.ts'
import { compileRules } from './rules.ts'
import { PlannedManifests, walk } from './worker-mark.ts'
import type {
  Counts,
  GcReply,
  GcRequest,
  GcSetup,
  MarkTask,
  Step,
  SweepTask,
} from './worker-messages.ts'
import { PlanWriter, readPlan } from './worker-plan-file.ts'
import { purge } from './worker-purge.ts'
import { WorkerRows } from './worker-rows.ts'
import { toStep } from './worker-sweep.ts'

/** Batches that the main thread has not settled yet. */
const openBatchesMax = 2

/** Progress of a walk is told this often, ms. */
const tellEveryMs = 300

export async function runTask({ port, storagePath, task }: GcSetup): Promise<void> {
  const paths = storagePaths(storagePath)
  const environment = new LmdbEnvironment(paths.metadata, false)
  const link = new Link(port)
  try {
    switch (task.kind) {
      case 'mark':
        await mark(environment, task, link)
        break
      case 'sweep':
        await link.send(sweep(environment, task), environment)
        break
      case 'purge':
        await link.send(withOffset(purge(environment, task.before)), environment)
        break
      case 'total':
        link.reply({ kind: 'total', bytes: total(environment) })
        break
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
  try {
    await walk(
      {
        environment,
        rules: compileRules(task.config),
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
        onStep: async (cursor) => {
          const isDue = cursor.stage === 'done' || performance.now() - toldAt > tellEveryMs
          if (isDue || writer.isFull) await writer.flush()
          // The port is only heard when the thread has nothing else to do.
          await new Promise((resolve) => setImmediate(resolve))
          if (!isDue) return
          toldAt = performance.now()
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

async function* sweep(
  environment: LmdbEnvironment,
  { planFile, offset, graceMs, by }: SweepTask,
): AsyncGenerator<{ step: Step; end: number }> {
  const rows = new WorkerRows(environment)
  const history = new History()
  for await (const { item, end } of readPlan(planFile, offset)) {
    const step = toStep(item, { rows, now: systemClock.now(), graceMs, by, history })
    if (step.kind === 'skip') yield { step: { kind: 'skip', item, why: step.why }, end }
    else {
      const digest =
        item.kind === 'blob' && item.place === 'file' ? parseDigest(item.digest) : undefined
      const trashes = digest?.ok === true ? digest.value : undefined
      const transactions = [step.transaction]
      const { kind: what, bytes } = item
      yield { step: { kind: 'commit', what, item, bytes, transactions, trashes }, end }
    }
  }
}

async function* withOffset(steps: Iterable<Step>): AsyncGenerator<{ step: Step; end: number }> {
  for (const step of steps) yield { step, end: 0 }
}

/** Bytes of all blobs. */
function total(environment: LmdbEnvironment): number {
  let bytes = 0
  let start = ''
  while (true) {
    const range = { start, end: '\u{10ffff}', limit: 5_000 }
    const batch = [...environment.entries('blobs', range)]
    for (const { value } of batch) bytes += (value as BlobRow).sizeBytes
    if (batch.length < 5_000) return bytes
    start = `${String(batch.at(-1)!.key)}\u0001`
    environment.refresh()
  }
}

/** The port: batches out, settlements in, a stop at any time. */
class Link {
  readonly #port: GcSetup['port']
  readonly released: Promise<void>
  isStopped = false
  #open = 0
  #stepsAtOnce = 16
  #wake = () => {}

  constructor(port: GcSetup['port']) {
    this.#port = port
    port.on('message', (request: GcRequest) => {
      if (request.kind === 'stop') this.isStopped = true
      else {
        this.#open -= 1
        this.#stepsAtOnce = request.stepsAtOnce
      }
      this.#wake()
    })
    this.released = new Promise((resolve) => {
      port.on('close', () => {
        this.isStopped = true
        this.#wake()
        resolve()
      })
    })
  }

  reply(message: GcReply): void {
    this.#port.postMessage(message)
  }

  async send(
    steps: AsyncIterable<{ step: Step; end: number }>,
    environment: LmdbEnvironment,
  ): Promise<void> {
    let id = 0
    let batch: Step[] = []
    let offset = 0
    const flush = async () => {
      if (batch.length === 0) return
      id += 1
      this.#open += 1
      this.reply({ kind: 'steps', id, steps: batch, offset })
      batch = []
      await this.#untilOpen(openBatchesMax - 1)
      environment.refresh()
    }
    for await (const { step, end } of steps) {
      batch.push(step)
      offset = end
      if (batch.length >= this.#stepsAtOnce) await flush()
      if (this.isStopped) break
    }
    if (!this.isStopped) await flush()
    await this.#untilOpen(0)
  }

  async #untilOpen(count: number): Promise<void> {
    while (this.#open > count && !this.isStopped) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}
