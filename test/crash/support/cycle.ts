/**
 * @module One cycle of the crash test: load, kill -9 at a moment of chance, start again, compare with
 * the model, stop in order, look inside.
 */
import type { RunningRegistry } from '../../support/start-registry.ts'
import { checkAnswers, checkSessions } from './check-answers.ts'
import { inspectStore } from './inspect-store.ts'
import { LoadClient } from './load-client.ts'
import type { CrashModel } from './model.ts'
import { Seeded } from './seeded.ts'
import { Violation, Wire } from './wire.ts'

const clients = 5

/** Reconciliation of a few hundred files takes well below a second. */
const reconciledWithinMs = 20_000

export interface CycleOptions {
  readonly registry: RunningRegistry
  readonly model: CrashModel
  readonly seed: string
  /** The last cycle looks at everything that was ever acknowledged. */
  readonly isLast: boolean
}

export interface CycleResult {
  readonly operations: number
  /** What reconciliation found after the crash. */
  readonly reconciliation: Readonly<Record<string, unknown>>
}

/** Throws a `Violation` with the newest requests when the registry broke a promise. */
export async function runCycle(options: CycleOptions): Promise<CycleResult> {
  const trace: string[] = []
  try {
    return await crashAndCheck(options, trace)
  } catch (error) {
    const text = error instanceof Violation ? error.message : String((error as Error).stack)
    const log = options.registry.logs().slice(-15).join('\n')
    throw new Error(
      `seed ${options.seed}: ${text}\nthe requests before:\n${trace.slice(-80).join('\n')}\nthe log:\n${log}`,
    )
  }
}

async function crashAndCheck(options: CycleOptions, trace: string[]): Promise<CycleResult> {
  const { registry, model, seed, isLast } = options
  const random = new Seeded(seed, 'cycle')
  const operations = await loadUntilKilled(options, random, trace)
  await registry.restart()
  // A second crash, in the middle of reconciliation or just after it.
  if (random.chance(0.25)) {
    await sleep(random.between(0, 150))
    await registry.kill9()
    await registry.restart()
  }
  const wire = new Wire(registry.port, trace)
  const check = { model, wire, seed, isWhole: isLast }
  // At once: what was acknowledged is there before reconciliation is through.
  await checkAnswers(check)
  const reconciliation = await reconciled(wire, registry.storages.length)
  await checkSessions(check)
  wire.close()
  const exitCode = await registry.terminate()
  if (exitCode !== 0) throw new Violation(`a stop in order ended with ${exitCode}`)
  const problems = await inspectStore(registry.storages, model.endedSessions)
  if (problems.length > 0) throw new Violation(`the store:\n${problems.slice(0, 20).join('\n')}`)
  await registry.restart()
  return { operations, reconciliation }
}

/** The moment: some milliseconds after one client began its operation of some number. */
async function loadUntilKilled(
  { registry, model, seed }: CycleOptions,
  random: Seeded,
  trace: string[],
): Promise<number> {
  const killer = random.between(0, clients - 1)
  const killAtOperation = random.between(8, 40)
  const killAfterMs = random.chance(0.5) ? random.between(0, 6) : random.between(0, 60)
  let isKilled = false
  let operations = 0
  let killing: Promise<void> | undefined
  const wires = Array.from(
    { length: clients },
    () => new Wire(registry.port, trace, () => isKilled),
  )
  const kill = async () => {
    await sleep(killAfterMs)
    isKilled = true
    trace.push('kill -9')
    await registry.kill9()
  }
  const loads = wires.map((wire, client) =>
    new LoadClient(model, wire, client, clients, trace).run(seed, (number) => {
      operations += 1
      if (client === killer && number === killAtOperation) killing = kill()
    }),
  )
  await Promise.all(loads)
  await killing
  for (const wire of wires) wire.close()
  model.crash()
  return operations
}

/** A balancer asks each of the nodes in turn. */
async function reconciled(wire: Wire, nodes: number): Promise<Readonly<Record<string, unknown>>> {
  const deadline = performance.now() + reconciledWithinMs
  let done = 0
  while (performance.now() < deadline) {
    const answer = await wire.ask('GET', '/admin/status', [200])
    const { reconciliation } = answer.json as { reconciliation: Record<string, unknown> }
    done = reconciliation['state'] === 'done' ? done + 1 : 0
    if (done === nodes) return reconciliation
    if (reconciliation['state'] === 'failed') throw new Violation('reconciliation failed')
    await sleep(10)
  }
  throw new Violation('reconciliation does not end')
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
