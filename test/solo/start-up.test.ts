/**
 * @module What only a machine without other tests can tell: how long the start takes.
 */
import { expect, test } from 'vitest'
import { startRegistry } from '../support/start-registry.ts'

test('it listens within half a second of its start', async () => {
  const milliseconds: number[] = []
  for (let round = 0; round < 5; round += 1) {
    const registry = await startRegistry()
    const line = registry.logs().find((it) => it.includes('"msg":"ready"'))
    const { startMs } = JSON.parse(line ?? '{}') as { startMs?: number }
    milliseconds.push(startMs ?? Number.POSITIVE_INFINITY)
    await registry.stop()
  }
  console.log(`MEASURED: start to listening: ${milliseconds.map((it) => `${it} ms`).join(', ')}`)
  expect(Math.min(...milliseconds)).toBeLessThan(500)
})
