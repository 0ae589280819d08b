import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { exitCodeOf, listenForStop } from '../../../src/runtime/shutdown.ts'

test('the first signal asks for a stop, every further one forces it', () => {
  const source = new EventEmitter()
  const calls: string[] = []
  const ignore = listenForStop(
    {
      onStop: (signal) => calls.push(`stop ${signal}`),
      onForce: (signal) => calls.push(`force ${signal}`),
    },
    source,
  )
  source.emit('SIGINT')
  source.emit('SIGTERM')
  source.emit('SIGINT')
  expect(calls).toEqual(['stop SIGINT', 'force SIGTERM', 'force SIGINT'])
  ignore()
  expect(source.listenerCount('SIGINT') + source.listenerCount('SIGTERM')).toBe(0)
})

test('exit codes are those of a shell', () => {
  expect(exitCodeOf('SIGINT')).toBe(130)
  expect(exitCodeOf('SIGTERM')).toBe(143)
})
