/**
 * @module Reads and tag moves on every node of a mesh, with whatever goes wrong: linearizable, and equal nodes in
 * the end. By seed: `MESH_SEEDS=10000` for a long run, `MESH_SEED=17` for one of them.
 */
import { expect, test } from 'vitest'
import { checkLinearizable } from '../../support/mesh/linearizable.ts'
import { SimMesh, type SimResult } from '../../support/mesh/sim-mesh.ts'

const one = process.env['MESH_SEED']
const seeds = Number(process.env['MESH_SEEDS'] ?? 40)
const all = one === undefined ? Array.from({ length: seeds }, (_, at) => at + 1) : [Number(one)]

async function run(seed: number): Promise<SimResult> {
  const nodes = seed % 5 === 0 ? 5 : 3
  return await new SimMesh({ seed, nodes }).play()
}

function judge(seed: number, { history, nodes, log, poison, time }: SimResult): void {
  const verdict = checkLinearizable(history.operations)
  const say = () => `seed ${seed}: ${JSON.stringify(verdict)}\n${time.lastNotes(40).join('\n')}`
  expect(verdict.outcome, say()).not.toBe('not linearizable')
  expect(poison, say()).toEqual([])
  for (const node of nodes) {
    expect(node.replica.applied, `${say()} ${node.name}`).toBeGreaterThan(log.last - 10)
    expect(node.serving.isServing, `${say()} ${node.name} serves again`).toBe(true)
  }
  const last = Math.min(...nodes.map(({ replica }) => replica.applied))
  const chains = nodes.map(({ replica }) => Buffer.from(replica.chainAt(last)!).toString('hex'))
  expect(new Set(chains).size, say()).toBe(1)
}

test('is linearizable on every node, and all come to the same rows', async () => {
  const sums: Record<string, number> = {}
  for (const seed of all) {
    const result = await run(seed)
    judge(seed, result)
    for (const [what, count] of Object.entries(result.counts))
      sums[what] = (sums[what] ?? 0) + count
  }
  console.log(`MEASURED mesh simulation, ${all.length} seeds: ${JSON.stringify(sums)}`)
}, 7_200_000)

test('the same seed gives the same run', async () => {
  const [first, again] = [await run(3), await run(3)]
  expect(again.history.operations).toEqual(first.history.operations)
  expect(again.log.last).toBe(first.log.last)
})
