import { execFileSync, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { LogStream } from '../../../src/observability/log-stream.ts'

let folder: string
const open: { readonly fd: number; readonly stream: LogStream }[] = []
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'log-'))
})
afterEach(() => {
  for (const { fd, stream } of open.splice(0)) {
    stream.close()
    closeSync(fd)
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

function openStream(path: string, flags: string | number = 'w'): LogStream {
  const fd = openSync(path, flags)
  const stream = new LogStream(fd)
  open.push({ fd, stream })
  return stream
}

describe('a log stream', () => {
  test('writes every line once and in order, however the writes fall', async () => {
    const file = join(folder, 'order')
    const stream = openStream(file)
    const lines = Array.from({ length: 5000 }, (_, index) => `line ${index} é\n`)
    lines.push('ascii\n', `${'long é'.repeat(30_000)}\n`, 'after\n')
    for (const [index, line] of lines.entries()) {
      if (line === 'ascii\n') stream.writeAscii(line)
      else stream.write(line)
      if (index % 700 === 0) await stream.flush()
    }
    await stream.flush()
    expect(readFileSync(file, 'utf8')).toBe(lines.join(''))
    expect(stream.droppedLines).toBe(0)
  })

  test('writes a single line soon, without being asked', async () => {
    const file = join(folder, 'soon')
    openStream(file).write('alone\n')
    expect(readFileSync(file, 'utf8')).toBe('')
    await expect.poll(() => readFileSync(file, 'utf8')).toBe('alone\n')
  })

  test('writes at once when the process is about to end', () => {
    const file = join(folder, 'end')
    const stream = openStream(file)
    stream.write('last words\n')
    stream.flushSync()
    expect(readFileSync(file, 'utf8')).toBe('last words\n')
  })

  test.skipIf(!existsSync('/dev/full'))('counts lines that a full disk refused', async () => {
    const stream = openStream('/dev/full')
    stream.write('a\n')
    stream.write('b\n')
    await stream.flush()
    expect(stream.droppedLines).toBe(2)
    stream.write('c\n')
    stream.flushSync()
    expect(stream.droppedLines).toBe(3)
  })

  test('drops and counts lines when the reader does not read, and still ends a flush', async () => {
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    const reader = spawn('sleep', ['20'], { stdio: [openSync(pipe, 'r+'), 'ignore', 'ignore'] })
    const stream = openStream(pipe, 'r+')
    const line = `${'x'.repeat(1023)}\n`
    for (let count = 0; count < 10_000; count++) stream.write(line)
    expect(stream.droppedLines).toBeGreaterThan(1000)
    await stream.flush()
    // Lets the write that is under way come to its end, so that the descriptor can be closed.
    const drain = spawn('cat', [pipe], { stdio: ['ignore', 'ignore', 'ignore'] })
    await stream.flush()
    drain.kill()
    reader.kill()
  })
})
