/**
 * @module One process a store, with real processes: the second refuses and says who has it; a dead
 * one leaves no lock behind.
 */
import { expect, test } from 'vitest'
import { startRegistry } from '../support/start-registry.ts'

test('a second server on the same folder refuses to start and names the first', async () => {
  const first = await startRegistry()
  try {
    const second = startRegistry({ storage: first.storage })
    await expect(second).rejects.toThrow(
      `cannot start: ${first.storage} is in use by process ${first.pid};`,
    )
    const answer = await fetch(`${first.url}/v2/`)
    expect(answer.status).toBe(200)
    await first.kill9()
    await first.restart()
    expect((await fetch(`${first.url}/v2/`)).status).toBe(200)
  } finally {
    await first.stop()
  }
})
