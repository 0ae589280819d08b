/**
 * @module One schedule on every node of a mesh, with wall clocks that are apart, pauses, crashes and a log that fails:
 * each time is taken once, one job runs at once, and one that was overtaken changes nothing any more. By seed:
 * `MESH_SEEDS=1000` for a long run, `MESH_SEED=17` for one of them.
 */
import { expect, test } from 'vitest'
import { CronMesh } from '../../support/mesh/cron-mesh.ts'

const one = process.env['MESH_SEED']
const seeds = Number(process.env['MESH_SEEDS'] ?? 25)
const all = one === undefined ? Array.from({ length: seeds }, (_, at) => at + 1) : [Number(one)]

/** Jobs that changed something after another had begun to. */
function overtaken(effects: readonly string[]): readonly string[] {
  const over = new Set<string>()
  const late: string[] = []
  let last: string | undefined
  for (const job of effects) {
    if (over.has(job)) late.push(job)
    if (last !== undefined && last !== job) over.add(last)
    last = job
  }
  return late
}

test('each time of the schedule is taken once, and no two jobs change things at once', async () => {
  const sums: Record<string, number> = {}
  for (const seed of all) {
    const mesh = new CronMesh({ seed, nodes: seed % 5 === 0 ? 5 : 3 })
    const { time, poison, nodes } = await mesh.play()
    const say = () => `seed ${seed}\n${time.lastNotes(40).join('\n')}`
    const twice = [...mesh.runs].filter(([, by]) => by.length > 1)
    expect(twice, say()).toEqual([])
    expect(overtaken(mesh.effects), say()).toEqual([])
    expect(poison, say()).toEqual([])
    // All is well at the end: no time is left out.
    const last = [...mesh.runs.keys()].sort((a, b) => a - b).slice(-5)
    const apart = last.map((at) => (at - last[0]!) / 1_000)
    expect(apart, say()).toEqual([0, 15, 30, 45, 60])
    // And none leads for ever: of jobs that ended, all leads are given back.
    const leads = nodes.flatMap(({ leads: { jobs } }) => jobs)
    expect(leads.length, say()).toBeLessThanOrEqual(1)
    for (const [what, count] of Object.entries({ ...mesh.sums, times: mesh.runs.size })) {
      sums[what] = (sums[what] ?? 0) + count
    }
  }
  console.log(`MEASURED schedules, ${all.length} seeds: ${JSON.stringify(sums)}`)
}, 7_200_000)

test('without the row of the schedule every node does the work: the test finds it', async () => {
  const mesh = new CronMesh({ seed: 1, withoutTicks: true })
  await mesh.play()
  expect([...mesh.runs.values()].some((by) => by.length > 1)).toBe(true)
})
