/** Where an open registry listens: on this machine alone, unless somebody has said otherwise. */
import { describe, expect, test } from 'vitest'
import { load, problems } from './load-text.ts'

const here = '127.0.0.1'
/** Ways to say who may come, or that everybody may. */
const GUARDED = [
  'server: { open: true }',
  'auth: { type: htpasswd, htpasswd_file: /users }',
  'access: [{ repositories: ["**"], anonymous: true, actions: [pull] }]',
  'auth: { foreign: { issuer: "https://i.test", jwks: /keys, audience: r } }',
]

test.each(['', 'server: { addr: ":5000" }', 'server: { addr: ":0", also_listen: ":5001" }'])(
  'nothing about rights, nor about the network: %s',
  async (text) => {
    const { server } = await load(text)
    expect(server.addr.host).toBe(here)
    expect(server.alsoListen?.host ?? here).toBe(here)
  },
)

test.each(GUARDED)('with %s every interface is meant', async (text) => {
  expect((await load(text)).server.addr.host).toBe('')
})

test('mirrors with anonymous pulls are still an open registry', async () => {
  const mirror = '{ name: hub, upstream: "https://h.test", anonymous_pull: ["10.0.0.0/8"] }'
  expect((await load(`mirrors: [${mirror}]`)).server.addr.host).toBe(here)
})

describe.each(['0.0.0.0:1', '[::]:1', '192.0.2.1:1', 'registry.lan:1', '[::ffff:10.0.0.1]:1'])(
  'an address of the network, %s',
  (address) => {
    test.each(['addr', 'also_listen'])('is refused as %s of an open registry', async (key) => {
      const [line = '', ...more] = await problems(`server:\n  ${key}: "${address}"`)
      expect(line).toMatch(/^config\.yaml:2:\d+: server\..*server\.open: true$/)
      expect(more).toEqual([])
    })

    test.each(GUARDED.slice(1))('is taken with %s', async (text) => {
      const config = await load(`server:\n  addr: "${address}"\n${text}`)
      expect(config.server.addr.port).toBe(1)
    })
  },
)

test.each(['127.0.0.1:1', '127.9.9.9:1', '[::1]:1', 'localhost:1'])(
  'an address of this machine, %s, needs no word',
  async (address) => {
    expect((await load(`server: { addr: "${address}" }`)).server.addr.port).toBe(1)
  },
)

describe('who may call from browsers', () => {
  test.each([
    ['origins', '["https://ui.test", "http://localhost:8080", "http://[::1]:1"]'],
    ['every one', '["*"]'],
    ['none', '[]'],
  ])('%s: %s', async (_what, list) => {
    const config = await load(`server: { cors: { origins: ${list} } }`)
    expect(config.server.corsOrigins).toEqual(JSON.parse(list))
  })

  test.each([
    'https://ui.test/',
    'https://ui.test/path',
    'https://UI.test',
    'https://ui.test:443',
    'ui.test',
    'https://user@ui.test',
    'ftp://ui.test',
    'null',
    '*.test',
    'https://*.test',
    '',
  ])('no origin: "%s"', async (text) => {
    expect(await problems(`server: { cors: { origins: ["${text}"] } }`)).toHaveLength(1)
  })

  test('every site stands alone', async () => {
    const [line] = await problems('server: { cors: { origins: ["*", "https://ui.test"] } }')
    expect(line).toContain('stands alone')
  })

  test.each(['registry.test:5000', 'Registry.test', '*', '*.test', 'a..b', 'a/b', ''])(
    'no name of a host: "%s"',
    async (text) => {
      expect(await problems(`server: { hosts: ["${text}"] }`)).toHaveLength(1)
    },
  )
})
