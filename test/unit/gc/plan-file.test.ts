/**
 * @module A plan's file: what is written is read back, from any line on, whatever the lengths.
 */
import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PlanWriter, readPlan } from '../../../src/gc/plan/file.ts'
import type { PlanItem } from '../../../src/gc/plan/item.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fastregistry-plan-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Reasons from nothing to more than a read takes at once. */
const items = Array.from({ length: 3_000 }, (_, index): PlanItem => {
  const reason = 'ü'.repeat(index % 997 === 5 ? 300_000 : index % 50)
  const what = { kind: 'link', repository: 'r', digest: `d${index}` } as const
  return { ...what, rule: 'r', reason, bytes: 1, at: index }
})

async function read(path: string, offset: number) {
  const lines: { item: PlanItem; end: number }[] = []
  for await (const line of readPlan(path, offset)) lines.push(line)
  return lines
}

test('what is gathered between two flushes comes back in its order, however much', async () => {
  const path = join(folder, 'gathered')
  const writer = await PlanWriter.open(path, 0)
  for (const item of items) writer.add(item)
  expect(writer.isFull).toBe(true)
  await writer.flush()
  expect(writer.isFull).toBe(false)
  writer.add(items[0]!)
  await writer.flush()
  await writer.close()
  const lines = await read(path, 0)
  expect(lines.map(({ item }) => item)).toEqual([...items, items[0]])
  expect(lines.at(-1)!.end).toBe(writer.bytes)
})

test('every item comes back, and reading goes on behind any of them', async () => {
  const path = join(folder, 'plan')
  const writer = await PlanWriter.open(path, 0)
  for (const item of items) {
    writer.add(item)
    if (writer.isFull) await writer.flush()
  }
  await writer.flush()
  await writer.close()
  const lines = await read(path, 0)
  expect(lines.map(({ item }) => item)).toEqual(items)
  expect(lines.at(-1)!.end).toBe(writer.bytes)
  for (const index of [0, 5, 1_002, 2_998]) {
    expect((await read(path, lines[index]!.end))[0]?.item).toEqual(items[index + 1])
  }
  // A line that a crash cut short is the end.
  await appendFile(path, '{"kind":"blob"')
  expect((await read(path, lines[2_998]!.end)).map(({ item }) => item)).toEqual([items[2_999]])
})
