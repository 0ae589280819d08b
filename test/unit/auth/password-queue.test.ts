/**
 * @module Who is served when more want to log in than can be checked: known clients and users before
 * strangers, of strangers the newest least, and nobody waits for long for nothing.
 */
import { EventEmitter } from 'node:events'
import type { MessagePort } from 'node:worker_threads'
import { afterEach, expect, test } from 'vitest'
import { GoodLogins } from '../../../src/auth/good-logins.ts'
import { PasswordQueue } from '../../../src/auth/password-queue.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const checkMs = 100

/** A queue whose worker answers when a test says so; every check takes `checkMs`. */
function queueOf() {
  const clock = new FakeClock()
  const asked: { readonly id: number; readonly password: string }[] = []
  const port = Object.assign(new EventEmitter(), {
    postMessage: (request: { id: number; password: string }) => asked.push(request),
    close: () => undefined,
  })
  const ended = new Promise<void>(() => {})
  const start = () => ({ port: port as unknown as MessagePort, ended })
  const queue = new PasswordQueue(start, clock)
  const outcomes = new Map<string, 'right' | 'wrong' | 'put-off'>()
  return {
    clock,
    queue,
    asked,
    outcomes,
    login: (name: string, client: string, known: '' | 'client' | 'user' = '') => {
      const isKnownUser = known !== ''
      const presenter = { user: name, client, isKnownClient: known === 'client', isKnownUser }
      queue.check(`${name} ${client}`, 'hash', presenter).then(
        (isRight) => outcomes.set(`${name} ${client}`, isRight ? 'right' : 'wrong'),
        () => outcomes.set(`${name} ${client}`, 'put-off'),
      )
    },
    /** The worker's next answer; what it was about. */
    answer: async (isRight: boolean) => {
      const request = asked.shift()
      if (request === undefined) return undefined
      clock.advance(checkMs)
      port.emit('message', { id: request.id, isRight })
      // What was settled tells its test.
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve()
      return request.password
    },
  }
}

let made: ReturnType<typeof queueOf> | undefined
afterEach(() => {
  void made?.queue.close()
})

/** What is asked of the worker within the next so many answers. */
async function next(queue: ReturnType<typeof queueOf>, count: number): Promise<string[]> {
  const found: string[] = []
  for (let turn = 0; turn < count; turn += 1) {
    const password = await queue.answer(false)
    if (password !== undefined) found.push(password)
  }
  return found
}

test('a known client, and a known user from elsewhere, are served before a flood of strangers', async () => {
  const queue = queueOf()
  made = queue
  for (let index = 0; index < 200; index += 1) queue.login('alice', `stranger-${index}`)
  queue.login('bob', 'home', 'client')
  queue.login('carol', 'hotel', 'user')
  const served = await next(queue, 4)
  expect(served).toContain('bob home')
  expect(served).toContain('carol hotel')
})

test('strangers get a turn in four while the known never end', async () => {
  const queue = queueOf()
  made = queue
  for (let index = 0; index < 30; index += 1) {
    queue.login('bob', `home-${index}`, 'client')
    queue.login(`user-${index}`, 'x', 'user')
  }
  queue.login('new', 'stranger')
  expect(await next(queue, 5)).toContain('new stranger')
})

test('others wait for no longer than half a minute, the known find a place', async () => {
  const queue = queueOf()
  made = queue
  queue.login('first', 'stranger')
  await queue.answer(false)
  for (let index = 0; index < 3000; index += 1) queue.login('alice', `stranger-${index}`)
  await Promise.resolve()
  await Promise.resolve()
  const putOff = () => [...queue.outcomes.values()].filter((one) => one === 'put-off').length
  // 300 checks of 100 ms, and the one that is under way.
  expect(putOff()).toBe(3000 - 300 - 1)
  queue.login('bob', 'home', 'client')
  expect(await next(queue, 3)).toContain('bob home')
})

test('the newest of the others make room for the known', async () => {
  const queue = queueOf()
  made = queue
  for (let index = 0; index < 1990; index += 1) queue.login('known', `home-${index}`, 'client')
  for (let index = 0; index < 64; index += 1) queue.login('alice', `stranger-${index}`)
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve()
  const putOff = [...queue.outcomes].filter(([, one]) => one === 'put-off').map(([name]) => name)
  expect(putOff).not.toContain('alice stranger-0')
  expect(putOff).toContain('alice stranger-63')
  queue.login('bob', 'home', 'client')
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve()
  expect(queue.outcomes.get('bob home')).toBeUndefined()
  expect(queue.outcomes.get('alice stranger-10')).toBe('put-off')
  expect(queue.outcomes.get('alice stranger-0')).toBeUndefined()
})

test('one client, or one name, cannot fill a lane', async () => {
  const queue = queueOf()
  made = queue
  for (let index = 0; index < 100; index += 1) queue.login(`name-${index}`, 'home', 'client')
  for (let index = 0; index < 100; index += 1) queue.login('carol', `hotel-${index}`, 'user')
  queue.login('bob', 'office', 'client')
  expect(await next(queue, 4)).toContain('bob office')
})

test('a good login counts for a day, for its client, its user and both', () => {
  const clock = new FakeClock()
  const logins = new GoodLogins(clock)
  logins.note('alice', '192.0.2.1')
  logins.note('bob', '192.0.2.2')
  clock.advance(24 * 60 * 60 * 1000 - 1)
  expect(logins.hasClient('192.0.2.1')).toBe(true)
  expect(logins.hasUser('alice')).toBe(true)
  expect(logins.hasPair('alice', '192.0.2.1')).toBe(true)
  expect(logins.hasPair('alice', '192.0.2.2')).toBe(false)
  expect(logins.hasClient('192.0.2.3')).toBe(false)
  clock.advance(1)
  expect(logins.hasClient('192.0.2.1')).toBe(false)
  expect(logins.hasUser('alice')).toBe(false)
  expect(logins.hasPair('alice', '192.0.2.1')).toBe(false)
})
