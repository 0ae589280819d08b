// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${NAME} is the syntax under test
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadConfig, loadConfigText } from '../../../src/config/load.ts'
import { KEYS, ROWS, type SettingKey } from '../../../src/config/schema.ts'
import { defaults, load, problems } from './load-text.ts'

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
server: { addr: "127.0.0.1:8080", also_listen: ":80", open: true, engine: node, shutdown_timeout: 1h }
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
    expect(config.policy).toMatchObject({ allowsDelete: false, checksSizes: false })
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
releases: { enabled: true }
storge: { path: /x, cache_size_mb: 1 }
storage: { path: "\${NOT_SET}" }
`)
    expect(lines.map((line) => line.split(':').slice(0, 3).join(':'))).toEqual([
      'config.yaml:2:9',
      'config.yaml:3:16',
      'config.yaml:5:10',
      'config.yaml:6:3',
      'config.yaml:7:22',
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

describe('features that are not built yet', () => {
  test.each([
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
      'config.yaml:6:16: mirrors[1].cache_ttl: expected a duration with a unit, such as "24s"',
      'config.yaml:7:5: mirrors[2]: expected a mapping',
      expect.stringContaining('config.yaml:8:29: mesh.replication_factor: expected a whole number'),
      expect.stringContaining('config.yaml:8:38: mesh.bind: expected an address'),
      'config.yaml:11:42: sync.sources[0].mode: expected once, continuous or manual',
      'config.yaml:11:63: sync.sources[0].schedule: expected a cron schedule of five fields, such as "0 2 * * *"',
      'config.yaml:11:84: sync.sources[0].concurrency: expected a whole number from 1 to 1000',
      'config.yaml:11:94: sync.sources[0].token: expected text (put it in quotes)',
    ])
  })

  test.each([
    'sync: { sources: hunter2 }',
    'sync: { sources: [{ token: hunter2, name: 1 }] }',
    'releases: { pull_secret: [hunter2] }',
    'sync: { sources: [{ token: "hunter2" x }] }',
  ])('a secret stays out of the refusal of %s', async (text) => {
    expect((await problems(text)).join('\n')).not.toContain('hunter2')
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
