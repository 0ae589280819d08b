// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${NAME} is the syntax under test
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Config } from '../../../src/config/config.ts'
import { ConfigError } from '../../../src/config/explain.ts'
import { loadConfig, loadConfigText } from '../../../src/config/load.ts'
import { KEYS, ROWS, type SettingKey } from '../../../src/config/schema.ts'

const load = (text: string, environment: Record<string, string> = {}): Promise<Config> =>
  loadConfigText(text, 'config.yaml', { environment })

/** The lines of the refusal; fails when the text is accepted. */
async function problems(text: string, environment?: Record<string, string>): Promise<string[]> {
  const error = await load(text, environment).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(ConfigError)
  return (error as ConfigError).message.split('\n')
}

const defaults = {
  server: {
    addr: { host: '', port: 5000 },
    alsoListen: undefined,
    alsoListenTls: false,
    engine: 'auto',
    tls: undefined,
    maxConnections: 20_000,
    maxUploadsPerClient: 1000,
    shutdownTimeoutMs: 30_000,
  },
  storage: {
    path: '/var/lib/fastregistry',
    cacheSizeMb: 1024,
    reserveMb: 512,
    inlineLimitBytes: 65_536,
    durability: 'full',
    uploadTtlMs: 86_400_000,
    reader: 'auto',
    scrub: { enabled: false, schedule: '0 3 * * 0', bytesPerSecond: 64 * 1024 * 1024 },
  },
  cleanup: {
    gc: {
      enabled: true,
      schedule: '0 2 * * *',
      keepRecent: 10,
      graceMs: 86_400_000,
      undeleteWindowMs: 86_400_000,
      maxDeletePercent: 50,
      bytesPerSecond: 0,
      maxPauseMs: 4,
    },
    retention: [],
    expiry: [],
    immutableTags: [],
  },
  policy: {
    allowSparseIndex: true,
    allowMissingBlobs: false,
    checkSizes: true,
    delete: true,
  },
  workers: { ingestThreads: 0 },
  log: { level: 'info', access: true, accessSample: 1 },
  metrics: { enabled: true },
  trustedProxies: [],
  limits: { requestsPerSecond: 0, bytesPerSecond: 0 },
  auditFile: undefined,
  auth: {
    type: 'none',
    htpasswdFile: undefined,
    groups: {},
    tokens: {
      challenge: 'auto',
      realm: undefined,
      service: undefined,
      issuer: 'fastregistry',
      ttlMs: 600_000,
      refreshTtlMs: 30 * 86_400_000,
      keyLifeMs: 90 * 86_400_000,
    },
    foreign: undefined,
  },
  access: [],
  mirrors: [],
  mirrorMaxBytes: 0,
}

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'config-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('what means the defaults', () => {
  test.each([
    ['an empty file', ''],
    ['comments only', '# nothing\n\n'],
    ['a document marker only', '---\n'],
    ['null sections', 'server:\nstorage:\n  gc:\nlog: ~\n'],
    ['null values', 'server:\n  addr:\nstorage: { path: null }\nmirrors:\n'],
    ['a byte order mark', '\ufeffserver:\n'],
  ])('%s', async (_, text) => {
    expect(await load(text)).toEqual(defaults)
  })

  test('no file', async () => {
    expect(await loadConfig()).toEqual(defaults)
  })
})

describe('what is read', () => {
  test('values of every kind', async () => {
    const config = await load(`
server: { addr: "127.0.0.1:8080", also_listen: ":80", engine: node, shutdown_timeout: 1h }
storage:
  path: /data
  inline_limit: 1000
  durability: relaxed
policy: { delete: no, check_sizes: "false" }
log: { level: warn, access_sample: 100 }
`)
    expect(config.server.addr).toEqual({ host: '127.0.0.1', port: 8080 })
    expect(config.server.alsoListen).toEqual({ host: '', port: 80 })
    expect(config.server.engine).toBe('node')
    expect(config.server.shutdownTimeoutMs).toBe(3_600_000)
    expect(config.storage).toMatchObject({
      path: '/data',
      inlineLimitBytes: 1000,
      durability: 'relaxed',
    })
    expect(config.policy).toMatchObject({ delete: false, checkSizes: false })
    expect(config.log).toEqual({ level: 'warn', access: true, accessSample: 100 })
  })

  test('the result is frozen to its leaves', async () => {
    const config = await load('')
    expect(Object.isFrozen(config)).toBe(true)
    expect(Object.isFrozen(config.server.addr)).toBe(true)
    expect(() => Object.assign(config.storage, { path: '/elsewhere' })).toThrow(TypeError)
  })

  test('a relative storage path counts from the working directory', async () => {
    expect((await load('storage: { path: ./data }')).storage.path).toBe(join(process.cwd(), 'data'))
  })

  test('anchors and aliases', async () => {
    const config = await load('log: { access: &no false }\nmetrics: { enabled: *no }')
    expect(config.metrics.enabled).toBe(false)
  })

  test('flags win over the file', async () => {
    const flags = new Map<SettingKey, string>([
      ['server.addr', ':9000'],
      ['storage.path', '/flag'],
    ])
    const config = await loadConfigText('server: { addr: ":1" }\nstorage: { path: /file }', 'c', {
      flags,
    })
    expect(config.server.addr.port).toBe(9000)
    expect(config.storage.path).toBe('/flag')
  })
})

describe('what is refused, with its place', () => {
  test.each<[string, string, string]>([
    [
      'an unknown setting in a misspelt section',
      'storge:\n  path: /data',
      'config.yaml:2:3: unknown key "storge.path"; did you mean "storage.path"?',
    ],
    [
      'an unknown setting',
      'server:\n    adrr: ":1"',
      'config.yaml:2:5: unknown key "server.adrr"; did you mean "server.addr"?',
    ],
    [
      'a setting in the wrong section',
      'server: { path: /data }',
      'config.yaml:1:11: unknown key "server.path"; did you mean "storage.path"?',
    ],
    ['an unknown section', 'nonsense: {}', 'config.yaml:1:1: unknown key "nonsense"; remove it'],
    [
      'a key of every object',
      '__proto__: 1',
      'config.yaml:1:1: unknown key "__proto__"; remove it',
    ],
    [
      'a dotted key',
      'server.addr: ":1"',
      'config.yaml:1:1: unknown key "server.addr"; a dot does not nest, write "server:" and below it "addr:"',
    ],
    [
      'a word for a number',
      'server:\n  max_connections: many',
      'config.yaml:2:20: server.max_connections: expected a whole number from 1 to 1000000, got "many"',
    ],
    [
      'a fraction',
      'server: { max_connections: 1.5 }',
      'config.yaml:1:28: server.max_connections: expected a whole number from 1 to 1000000, got 1.5',
    ],
    [
      'a number below its bounds',
      'storage: { cache_size_mb: 0 }',
      'config.yaml:1:27: storage.cache_size_mb: expected a whole number from 1 to 16777216, got 0',
    ],
    [
      'a size above its bounds',
      'storage: { inline_limit: 2MiB }',
      'config.yaml:1:26: storage.inline_limit: expected a size from 0 to 1MiB, this is 2MiB, got "2MiB"',
    ],
    [
      'a duration without a unit',
      'storage: { upload_ttl: 30 }',
      'config.yaml:1:24: storage.upload_ttl: expected a duration with a unit, such as "30s", got 30',
    ],
    [
      'a number for text',
      'storage: { path: 7 }',
      'config.yaml:1:18: storage.path: expected text (put it in quotes), got 7',
    ],
    [
      'an empty path',
      'storage: { path: "" }',
      'config.yaml:1:18: storage.path: expected text that is not empty, got ""',
    ],
    [
      'a word that is not of the choice',
      'server: { engine: deno }',
      'config.yaml:1:19: server.engine: expected auto, uws or node, got "deno"',
    ],
    [
      'a mapping for a value',
      'server:\n  addr:\n    port: 5000',
      'config.yaml:3:5: server.addr: expected an address',
    ],
    [
      'a list for a value',
      'metrics: { enabled: [true] }',
      'config.yaml:1:21: metrics.enabled: expected true or false, got a list',
    ],
    [
      'a value for a section',
      'storage: /data',
      'config.yaml:1:10: storage: expected a mapping of settings, got "/data"',
    ],
    [
      'a list as the file',
      '- a\n- b',
      'config.yaml:1:1: the file: expected a mapping of settings, got a list',
    ],
    [
      'one address for two listeners',
      'server: { addr: ":80", also_listen: ":80" }',
      'config.yaml:1:37: server.also_listen: is the same address as server.addr; choose another port',
    ],
    [
      'a key written twice',
      'log:\n  level: info\n  level: warn',
      'config.yaml:3:3: key "level" appears twice in its section; keep one',
    ],
    ['a second document', 'log:\n---\nlog:', 'config.yaml:2:1: expected one document'],
    ['an open quote', 'log:\n  level: "info', 'config.yaml:2:15: not valid YAML: Missing closing'],
    [
      'broken syntax, without its consequences',
      'storage: { path: ${A} }\nlog:\n  level: info',
      'config.yaml:1:19: not valid YAML: put a reference in quotes',
    ],
    ['a tab as indentation', 'log:\n\tlevel: info', 'config.yaml:2:1: not valid YAML: '],
    [
      'an alias without an anchor',
      'log: { level: *x }',
      'config.yaml:1:15: alias "x" has no anchor',
    ],
    ['an alias of itself', 'mirrors: &a [*a]', 'config.yaml:1:13: nested deeper than 32 levels'],
  ])('%s', async (_, text, expected) => {
    const lines = await problems(text)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain(expected)
    if (!expected.endsWith(' ') && !expected.includes('an address')) {
      expect(lines[0]!.startsWith(expected)).toBe(true)
    }
  })

  test('everything at once, in the order of the file', async () => {
    const lines = await problems(`server:
  addr: nowhere
  tls: { cert: a.crt }
log:
  level: loud
  level: info
mesh: { enabled: true }
storge: { path: /x, cache_size_mb: 1 }
storage: { path: "\${NOT_SET}" }
`)
    expect(lines.map((line) => line.split(':').slice(0, 3).join(':'))).toEqual([
      'config.yaml:2:9',
      'config.yaml:3:16',
      'config.yaml:3:16',
      'config.yaml:5:10',
      'config.yaml:6:3',
      'config.yaml:7:18',
      'config.yaml:8:11',
      'config.yaml:8:21',
      'config.yaml:9:18',
    ])
  })

  test('a bad flag, by its name', async () => {
    const flags = new Map<SettingKey, string>([['server.addr', '5000']])
    await expect(loadConfig({ flags })).rejects.toThrow(
      '--addr: expected an address with a port, such as ":5000"',
    )
  })

  test('a file that cannot be read', async () => {
    const file = join(folder, 'missing.yaml')
    await expect(loadConfig({ file })).rejects.toThrow(`${file}: cannot be read: no such file`)
    await expect(loadConfig({ file: folder })).rejects.toThrow('cannot be read: it is a folder')
  })

  test('a bomb of aliases', async () => {
    const levels = Array.from({ length: 9 }, (_, level) => {
      const items = Array.from({ length: 10 }, () => (level === 0 ? '1' : `*l${level - 1}`))
      return `l${level}: &l${level} [${items.join(', ')}]`
    })
    const [line] = await problems(levels.join('\n'))
    expect(line).toContain('more than 100000 values')
  })
})

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

describe('features that are not built yet', () => {
  const source = '{ name: a, url: "https://quay.example.com", token: hunter2 }'

  test.each([
    ['mesh: { enabled: true }', '"mesh.enabled: true"', 'false'],
    [`sync: { sources: [${source}] }`, 'sync.sources', 'an empty list'],
    ['releases: { enabled: true }', '"releases.enabled: true"', 'false'],
    ['certs: { auto_generate: true }', '"certs.auto_generate: true"', 'false'],
  ])('%s is refused', async (text, what, instead) => {
    const [line, ...more] = await problems(text)
    expect(more).toEqual([])
    expect(line).toContain(
      `${what} is not available in this version; remove it or set it to ${instead}`,
    )
  })

  test('every one of them is accepted where it changes nothing', async () => {
    const config = await load(`
auth: { type: none, htpasswd_file: /etc/fastregistry/htpasswd }
access: []
mirrors: []
sync: { sources: [] }
mesh: { enabled: false, bind: ":7946", peers: ["10.0.0.1:7946"], replication_factor: 2 }
releases:
  enabled: false
  upstream: quay.io
  repository: openshift-release-dev/ocp-release
  local_repo: openshift/release
  architectures: [x86_64, aarch64]
  artifact_path: /x
  pull_secret: /y
  auto_discover: true
  discover_schedule: "0 */6 * * *"
certs: { auto_generate: false, ca_cert: a, ca_key: b, output_dir: c }
`)
    expect(config).toEqual(defaults)
  })

  test('their values are checked all the same, item by item', async () => {
    const lines = await problems(`mirrors:
  - name: docker.io
    upstrem: https://registry.example
  - name: ""
    upstream: ftp://x
    cache_ttl: 24
  - docker.io
mesh: { replication_factor: 0, bind: x }
sync:
  sources:
    - { name: a, url: "https://a", mode: sometimes, schedule: hourly, concurrency: 0, token: 5 }
`)
    expect(lines).toEqual([
      'config.yaml:2:5: mirrors[0]: "upstream" is missing',
      'config.yaml:3:5: mirrors[0]: unknown key "upstrem"; did you mean "upstream"?',
      'config.yaml:4:11: mirrors[1].name: expected text that is not empty',
      'config.yaml:5:15: mirrors[1].upstream: expected an http or https URL without a query',
      'config.yaml:6:16: mirrors[1].cache_ttl: expected a duration from 0s to 365d',
      'config.yaml:7:5: mirrors[2]: expected a mapping',
      expect.stringContaining('config.yaml:8:29: mesh.replication_factor: expected a whole number'),
      expect.stringContaining('config.yaml:8:38: mesh.bind: expected an address'),
      'config.yaml:11:42: sync.sources[0].mode: expected once or continuous',
      'config.yaml:11:63: sync.sources[0].schedule: expected a cron schedule of five fields, such as "*/15 * * * *"',
      'config.yaml:11:84: sync.sources[0].concurrency: expected a whole number from 1 to 1000',
      'config.yaml:11:94: sync.sources[0].token: expected text',
    ])
  })

  test.each([
    `sync: { sources: [${source}] }`,
    'sync: { sources: hunter2 }',
    'sync: { sources: [{ token: hunter2, name: 1 }] }',
    'releases: { pull_secret: [hunter2] }',
    'sync: { sources: [{ token: "hunter2" x }] }',
  ])('a secret stays out of the refusal of %s', async (text) => {
    expect((await problems(text)).join('\n')).not.toContain('hunter2')
  })
})

describe('TLS files', () => {
  test('both readable are taken', async () => {
    const [cert, key] = [join(folder, 'a.crt'), join(folder, 'a.key')]
    writeFileSync(cert, 'cert')
    writeFileSync(key, 'key')
    const config = await load(`server: { tls: { cert: ${cert}, key: ${key} } }`)
    expect(config.server.tls).toEqual({ certFile: cert, keyFile: key, sni: [] })
  })

  test('one without the other is refused', async () => {
    const cert = join(folder, 'b.crt')
    writeFileSync(cert, 'cert')
    expect(await problems(`server: { tls: { cert: ${cert} } }`)).toEqual([
      'config.yaml:1:24: server.tls.cert: server.tls.key is missing; give both files or neither',
    ])
    expect(await problems(`server: { tls: { key: ${cert} } }`)).toEqual([
      'config.yaml:1:23: server.tls.key: server.tls.cert is missing; give both files or neither',
    ])
  })

  test('missing and unreadable ones are refused with the reason', async () => {
    const lines = await problems(`server: { tls: { cert: /no/such, key: ${folder} } }`)
    expect(lines).toEqual([
      'config.yaml:1:24: server.tls.cert: cannot be read: no such file; give a readable PEM file',
      expect.stringMatching(/server\.tls\.key: cannot be read: it is not a file/),
    ])
  })

  test.skipIf(process.getuid?.() === 0)('a file without read permission is refused', async () => {
    const key = join(folder, 'secret.key')
    writeFileSync(key, 'key')
    chmodSync(key, 0)
    const [line] = await problems(`server: { tls: { cert: ${key}, key: ${key} } }`)
    expect(line).toContain('permission denied')
  })
})

describe('example-config.yaml', () => {
  const text = readFileSync(new URL('../../../example-config.yaml', import.meta.url), 'utf8')

  test('loads, and says the defaults', async () => {
    expect(await load(text)).toEqual(defaults)
  })

  test('has every setting that is available', async () => {
    for (const key of KEYS.filter((name) => !ROWS[name]!.notYet)) {
      const lines = text.split('\n')
      let from = 0
      for (const [depth, word] of key.split('.').entries()) {
        const at = lines.findIndex(
          (line, index) => index >= from && line.startsWith(`${'  '.repeat(depth)}${word}:`),
        )
        expect(at, key).toBeGreaterThanOrEqual(0)
        from = at + 1
      }
    }
  })
})
