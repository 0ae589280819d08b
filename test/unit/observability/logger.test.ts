import { describe, expect, test } from 'vitest'
import { createLogger } from '../../../src/observability/logger.ts'

function record() {
  const lines: string[] = []
  const logger = createLogger('info', { write: (text) => lines.push(text) })
  const entries = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  return { logger, lines, entries }
}

describe('the logger', () => {
  test('writes one JSON line per message, with time, level and process only', () => {
    const { logger, lines, entries } = record()
    logger.info({ port: 5000 }, 'ready')
    expect(lines[0]).toMatch(/^\{.*\}\n$/)
    expect(entries()[0]).toEqual({
      level: 30,
      time: expect.any(Number),
      pid: process.pid,
      port: 5000,
      msg: 'ready',
    })
  })

  test('keeps quiet below its level', () => {
    const { logger, lines } = record()
    logger.debug('quiet')
    logger.child({ part: 'storage' }).trace('quiet')
    expect(lines).toEqual([])
  })

  test('gives the fields of a child to every line', () => {
    const { logger, entries } = record()
    logger.child({ part: 'storage' }).warn('slow')
    expect(entries()[0]).toMatchObject({ part: 'storage', level: 40, msg: 'slow' })
  })

  test.each(['authorization', 'proxy-authorization', 'cookie', 'password', 'token', 'secret'])(
    'hides %s, at the top and one level down',
    (field) => {
      const { logger, lines, entries } = record()
      logger.info({ [field]: 'hunter2', headers: { [field]: 'hunter2' } })
      expect(lines[0]).not.toContain('hunter2')
      expect(entries()[0]).toMatchObject({ [field]: '***', headers: { [field]: '***' } })
    },
  )

  test('writes errors with their stack and cause', () => {
    const { logger, entries } = record()
    logger.error({ error: new Error('outer', { cause: new Error('inner') }) }, 'failed')
    expect(entries()[0]).toMatchObject({
      error: { message: 'outer: inner', stack: expect.stringContaining('inner') },
    })
  })

  test('passes access lines on as they are', async () => {
    const { logger, lines } = record()
    logger.accessLog.writeLine('{"msg":"request"}\n')
    await logger.flush()
    expect(lines).toEqual(['{"msg":"request"}\n'])
    expect(logger.droppedLines).toBe(0)
  })
})
