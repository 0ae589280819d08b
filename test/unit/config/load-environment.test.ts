// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${NAME} is the syntax under test
/** @module `${NAME}` in a configuration. */
import { describe, expect, test } from 'vitest'
import { load, problems } from './load-text.ts'

describe('variables of the environment', () => {
  test('are replaced inside values, whatever the kind of the value', async () => {
    const text =
      'storage:\n  path: /data/${TEAM}/x\n  cache_size_mb: ${MIB}\nlog:\n  access: ${LOG}'
    const config = await load(text, { TEAM: 'a b', MIB: '64', LOG: 'false' })
    expect(config.storage).toMatchObject({ path: '/data/a b/x', cacheSizeMb: 64 })
    expect(config.log.access).toBe(false)
  })

  test('cannot add structure', async () => {
    const value = '/data", durability: relaxed # {\nlog: [1]'
    const config = await load('storage: { path: "${EVIL}" }', { EVIL: value })
    expect(config.storage.path).toBe(value)
    expect(config.storage.durability).toBe('full')
  })

  test('are replaced once', async () => {
    const config = await load('storage: { path: "/${A}" }', { A: '${B}', B: 'no' })
    expect(config.storage.path).toBe('/${B}')
  })

  test('that are not set are named', async () => {
    expect(await problems('storage:\n  path: /x/${NOT_SET}')).toEqual([
      'config.yaml:2:9: storage.path: environment variable NOT_SET is not set',
    ])
  })

  test.each(['/${}', '/${A', '/${A-b}', '/${A:-default}'])('%s is malformed', async (path) => {
    const [line] = await problems(`storage: { path: '${path}' }`, { A: 'a' })
    expect(line).toContain('a reference must look like ${NAME}')
  })

  test('without braces are an error as a whole value, and plain text inside one', async () => {
    expect(await problems('storage: { path: $HOME }', { HOME: '/root' })).toEqual([
      'config.yaml:1:18: storage.path: $HOME is not replaced; write ${HOME}',
    ])
    expect((await load('storage: { path: /a$b }')).storage.path).toBe('/a$b')
  })

  test('$${ stands for the two characters', async () => {
    expect((await load('storage: { path: "/$${A}" }')).storage.path).toBe('/${A}')
  })

  test('are not taken into account in access rules', async () => {
    const text = 'access: [{ repositories: ["home/${user}/*"], users: [a], actions: [pull] }]'
    const rule = { repositories: ['home/${user}/*'], users: ['a'], actions: ['pull'] }
    expect((await load(text, { user: 'mallory' })).access).toEqual([rule])
  })

  test('are not printed when their value is refused', async () => {
    const [line] = await problems('server: { engine: "${SECRET}" }', { SECRET: 'hunter2' })
    expect(line).not.toContain('hunter2')
    expect(line).toContain('${SECRET}')
  })
})
