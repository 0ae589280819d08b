/** @module Who goes first on a core: the main thread of a server, before V8's helpers and hard reading. */
import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { RegistryClient, refusal } from '../../support/registry-client.ts'
import { startRegistry } from '../../support/start-registry.ts'

const SCHED_IDLE = 5

interface Thread {
  readonly id: number
  readonly niceness: number
  readonly policy: number
}

/** The threads of a process in the order in which they were started. See proc_pid_stat(5). */
async function threadsOf(pid: number): Promise<Thread[]> {
  const ids = (await readdir(`/proc/${pid}/task`)).map(Number).sort((a, b) => a - b)
  return Promise.all(
    ids.map(async (id) => {
      const stat = await readFile(`/proc/${pid}/task/${id}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return { id, niceness: Number(fields[19 - 3]), policy: Number(fields[41 - 3]) }
    }),
  )
}

test.skipIf(process.platform !== 'linux')(
  'V8 stands back for the main thread, and a large manifest is read where a core is idle',
  async () => {
    const registry = await startRegistry({})
    const client = new RegistryClient(registry.port)
    try {
      const [main, ...others] = await threadsOf(registry.pid)
      expect(main).toMatchObject({ id: registry.pid, policy: 0 })
      const steppedBack = others.filter(
        ({ niceness }) => niceness === Math.min(main!.niceness + 10, 19),
      )
      expect(steppedBack.length).toBeGreaterThanOrEqual(5)
      expect(others.some(({ policy }) => policy === SCHED_IDLE)).toBe(false)
      const refused = await client.putManifest('threads', 'v1', '['.repeat(100_000))
      expect(refusal(refused)).toBe('400 MANIFEST_INVALID')
      const readers = (await threadsOf(registry.pid)).filter(({ policy }) => policy === SCHED_IDLE)
      expect(readers).toHaveLength(1)
    } finally {
      client.close()
      expect(await registry.stop()).toBe(0)
    }
  },
)
