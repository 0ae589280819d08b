/** Settings of a node of a mesh: what stands for what is not given, and what contradicts. */
import { describe, expect, test } from 'vitest'
import { load, problems } from './load-text.ts'

const secret = 'sixteen bytes at least'

describe('a node of a mesh', () => {
  test('needs one line on one machine', async () => {
    const { mesh, storage } = await load('mesh: { enabled: true }')
    expect(mesh).toEqual({
      bind: { host: '127.0.0.1', port: 7946 },
      peers: [],
      replicationFactor: 2,
      writeCopies: 0,
      degradedWrites: 'refuse',
      secret: '',
      secretFile: '',
      name: '',
      advertise: '',
      advertiseUrl: '',
      redirect: [],
      zone: '',
      weight: 0,
      witnessAddr: undefined,
      reads: 'strict',
      readLeaseMs: 3_000,
      staleReads: 'refuse',
      rebalanceAfterMs: 900_000,
      log: {
        endpoints: [],
        binary: '',
        dataDir: '',
        keepBytes: 64 * 1024 ** 2,
        tailBytes: 4 * 1024 ** 3,
        compact: true,
        tls: { ca: '', cert: '', key: '' },
      },
      rebalanceRate: 64 * 1024 * 1024,
      cacheMax: { percent: 10 },
    })
    expect(storage.inlineLimitBytes).toBe(16 * 1024)
  })

  test.each([
    ['50GiB', { bytes: 50 * 1024 ** 3 }],
    ['0', { bytes: 0 }],
    ['0%', { percent: 0 }],
    ['100%', { percent: 100 }],
  ])('keeps copies for pulls up to %s', async (text, cacheMax) => {
    expect((await load(`mesh: { enabled: true, cache_max: ${text} }`)).mesh).toMatchObject({
      cacheMax,
    })
  })

  test('is reached from other machines with a secret only', async () => {
    const given = `mesh: { enabled: true, secret: ${secret}, peers: ["10.0.0.2:7946", "dns:mesh.example.com:7946"] }`
    expect((await load(given)).mesh).toMatchObject({
      bind: { host: '', port: 7946 },
      peers: ['10.0.0.2:7946', 'dns:mesh.example.com:7946'],
      secret,
    })
    const without = 'without mesh.secret_file every node must be on this machine'
    for (const [text, key, what] of [
      ['peers: ["127.0.0.1:7956", "10.0.0.2:7946"]', 'peers', '10.0.0.2:7946 is not'],
      ['peers: ["dns:localhost:7946"]', 'peers', 'dns:localhost:7946 is not'],
      ['bind: "10.0.0.1:7946"', 'bind', '10.0.0.1:7946 is not only here'],
      ['advertise: "10.0.0.1:7946"', 'advertise', '10.0.0.1:7946 is not'],
    ] as const) {
      const [line, ...more] = await problems(`mesh: { enabled: true, ${text} }`)
      expect(more).toEqual([])
      expect(line).toContain(`mesh.${key}: ${without}; ${what}`)
    }
  })

  test.each([
    [
      'storage: { inline_limit: 64KiB }\nmesh: { enabled: true }',
      'storage.inline_limit: a node of a mesh has mesh.inline_limit instead',
    ],
    [
      `mesh: { enabled: true, secret: ${secret}, secret_file: /x }`,
      'mesh.secret: give either this or mesh.secret_file',
    ],
    [
      'mesh: { enabled: true, log: { compact: false } }',
      'mesh.log.compact: an etcd that the nodes run would grow for ever',
    ],
    [
      'mesh: { enabled: true, log: { endpoints: ["127.0.0.1:2379"], data_dir: /x } }',
      'mesh.log.data_dir: with mesh.log.endpoints this node runs no etcd',
    ],
    ['mesh: { enabled: true, secret: short }', 'mesh.secret: expected 16 bytes or more'],
    [
      'mesh: { enabled: true, bind: "127.0.0.1:65534" }',
      'mesh.bind: expected a port from 1 to 65533',
    ],
    [
      'mesh: { enabled: true, log: { tls: { cert: /x } } }',
      'mesh.log.tls.cert: needs mesh.log.tls.key',
    ],
    [
      'mesh: { enabled: true, log: { tls: { key: /x } } }',
      'mesh.log.tls.key: needs mesh.log.tls.cert',
    ],
    ['mesh: { peers: [":7946"] }', 'mesh.peers[0]: expected "host:port" of a node'],
    [
      'mesh: { log: { endpoints: ["https://10.0.0.1:2379"] } }',
      'mesh.log.endpoints[0]: expected "host:port"',
    ],
    [
      'mesh: { enabled: true, write_copies: 3 }',
      'mesh.write_copies: no blob has more copies than mesh.replication_factor',
    ],
    ['mesh: { degraded_writes: maybe }', 'mesh.degraded_writes'],
    ...['101%', '-1%', '1.5%', '%', 'half'].map((text): [string, string] => [
      `mesh: { cache_max: "${text}" }`,
      'mesh.cache_max: expected a size, or a share of the disk',
    ]),
    ['mesh: { name: "a b" }', 'mesh.name: expected at most 64 letters'],
    ['mesh: { advertise: "10.0.0.1" }', 'mesh.advertise: expected "host:port"'],
    ...[
      'registry-1.example.com',
      'https://registry-1.example.com/',
      'https://registry-1.example.com/base',
      'https://user@registry-1.example.com',
      'https://registry-1.example.com?x',
      'https://Registry-1.example.com',
      'ftp://registry-1.example.com',
      'https://',
    ].map((url): [string, string] => [
      `mesh: { advertise_url: "${url}" }`,
      'mesh.advertise_url: expected the URL of this node for clients',
    ]),
    ['mesh: { redirect: ["10.0.0.0/99"] }', 'mesh.redirect[0]: expected'],
    ['mesh: { redirect: ["example.com"] }', 'mesh.redirect[0]: expected'],
  ])('%s is refused', async (text, what) => {
    const [line, ...more] = await problems(text)
    expect(more).toEqual([])
    expect(line).toContain(what)
  })

  test('no setting of it contradicts another one while it is off', async () => {
    const text = 'storage: { inline_limit: 1KiB }\nmesh: { secret: x, peers: ["10.0.0.1:7946"] }'
    expect(await load(text)).toMatchObject({ mesh: undefined, storage: { inlineLimitBytes: 1024 } })
  })
})
