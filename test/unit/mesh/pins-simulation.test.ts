/**
 * @module Copies of blobs on the nodes of a mesh, with whatever goes wrong: no copy that a row counts on is ever
 * missing. By seed: `MESH_SEEDS=10000` for a long run, `MESH_SEED=17` for one of them.
 */
import { expect, test } from 'vitest'
import type { EndedPinsRow } from '../../../src/metadata/rows/mesh.ts'
import { PinMesh } from '../../support/mesh/pin-mesh.ts'

const one = process.env['MESH_SEED']
const seeds = Number(process.env['MESH_SEEDS'] ?? 30)
const all = one === undefined ? Array.from({ length: seeds }, (_, at) => at + 1) : [Number(one)]

async function run(seed: number): Promise<PinMesh> {
  const mesh = new PinMesh({ seed })
  await mesh.play()
  mesh.ledger.lookAtAll()
  return mesh
}

/** What is wrong with a run. */
function problemsOf({ nodes, log, ledger, faults, ...mesh }: PinMesh, lost: string[]): string[] {
  void mesh
  const problems = [...faults, ...ledger.violations, ...lost.map((name) => `${name} is not whole`)]
  for (const { name, replica } of nodes) {
    if (replica.applied < log.last) problems.push(`${name} has not caught up`)
  }
  const chains = nodes.map(({ replica }) => Buffer.from(replica.chainAt(log.last) ?? []))
  if (new Set(chains.map((chain) => chain.toString('hex'))).size > 1) problems.push('rows differ')
  for (const { disk, name } of nodes) {
    for (const member of disk.firstKeys('endedPins', [])) {
      const { pins } = disk.get('endedPins', member) as EndedPinsRow
      if (pins.length > 0) problems.push(`${name} remembers ${pins.length} pins of ${member}`)
    }
  }
  return problems
}

test('no copy that a row counts on is ever missing, and nothing is left over', async () => {
  const sums: Record<string, number> = {}
  const broken: string[] = []
  for (const seed of all) {
    const mesh = await run(seed)
    const problems = problemsOf(mesh, mesh.lostManifests(mesh.nodes[0]!))
    if (problems.length > 0) {
      broken.push(`seed ${seed}: ${problems.slice(0, 3).join('; ')}`)
      if (one !== undefined) console.log(mesh.time.lastNotes(60).join('\n'))
    }
    for (const [what, count] of Object.entries(mesh.counts)) sums[what] = (sums[what] ?? 0) + count
  }
  console.log(`MEASURED pins, ${all.length} seeds: ${JSON.stringify(sums)}`)
  console.log(`MEASURED broken seeds: ${broken.length}`)
  expect(broken).toEqual([])
}, 7_200_000)

test('the same seed gives the same run', async () => {
  const [first, again] = [await run(3), await run(3)]
  expect(again.counts).toEqual(first.counts)
  expect(again.log.last).toBe(first.log.last)
})
