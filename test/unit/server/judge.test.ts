/**
 * @module What stops a start is found by `check-config` too, in the same words and with its place.
 * Each case is a configuration whose text is right and which names something that is not.
 */
import { EventEmitter } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { main } from '../../../src/cli/main.ts'
import type { Terminal } from '../../../src/cli/terminal.ts'
import type { Config } from '../../../src/config/config.ts'
import { createLogger } from '../../../src/observability/logger.ts'
import { htpasswd } from '../../support/access.ts'
import { Authority } from '../../support/certificates.ts'
import { fakeEtcdProgram } from '../../support/mesh/fake-etcd-program.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-judge-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let count = 0
function file(content: string | Buffer): string {
  count += 1
  const path = join(folder, `file-${count}`)
  writeFileSync(path, content)
  return path
}

const authority = new Authority(folder)
const good = authority.issue('good', 'DNS:good.test')
const other = authority.issue('other', 'DNS:other.test')
const old = authority.issue('old', 'DNS:old.test', -1)
const text = file('no PEM at all\n')
const users = file(htpasswd({ alice: 'x' }))
const hash = `$2b$10$${'a'.repeat(53)}`

/** A store whose file of this name has this content. */
function storeWith(name: string, content: string): string {
  count += 1
  const store = join(folder, `store-${count}`)
  mkdirSync(join(store, 'auth'), { recursive: true })
  writeFileSync(join(store, name), content)
  return store
}

/** Runs a command to its end; a server that would be started is told and stops at once. */
async function run(...args: string[]): Promise<{ code: number; lines: string[]; starts: number }> {
  const lines: string[] = []
  const signals = new EventEmitter()
  let starts = 0
  const terminal: Terminal = {
    environment: {},
    signals,
    print: (line) => lines.push(line),
    printError: (line) => lines.push(...line.split('\n')),
    exit: () => undefined,
    loadLogger: async () => ({
      createLogger: (level) => createLogger(level, { write: () => undefined }),
    }),
    loadServer: async () => ({
      startServer: async (_config: Config) => {
        starts += 1
        setImmediate(() => signals.emit('SIGTERM'))
        return { ports: [1], stop: async () => undefined }
      },
    }),
  }
  return { code: await main(args, terminal), lines, starts }
}

const store = join(folder, 'store')
const withUsers = (path: string) => `auth:
  type: htpasswd
  htpasswd_file: ${path}
`
const foreign = (jwks: string) => `auth:
  foreign: { issuer: "https://ci.test", audience: registry, jwks: ${jwks} }
`
const mirror = (more: string) => `mirrors:
  - name: m.test
    upstream: "https://m.test"
    ${more}
`

interface Case {
  readonly what: string
  readonly yaml: string
  /** `line:column: key: ` and words of the message. */
  readonly place: string
  readonly words: string
}

const tls = (pair: { cert: string; key: string }, sni = '') =>
  `server:
  tls:
    cert: ${pair.cert}
    key: ${pair.key}
${sni}`
const sni = (pair: { cert: string; key: string }) =>
  tls(
    good,
    `    sni: [{ cert: ${good.cert}, key: ${good.key} }, { cert: ${pair.cert}, key: ${pair.key} }]\n`,
  )

const CASES: readonly Case[] = [
  {
    what: 'a secret of a mesh that is missing',
    yaml: `mesh:\n  enabled: true\n  secret_file: ${folder}/missing\n  log: { binary: ${fakeEtcdProgram()} }\n`,
    place: '3:16: mesh.secret_file: ',
    words: 'cannot be read: ENOENT',
  },
  {
    what: 'a secret of a mesh that is too short',
    yaml: `mesh:\n  enabled: true\n  secret_file: ${file('short')}\n  log: { binary: ${fakeEtcdProgram()} }\n`,
    place: '3:16: mesh.secret_file: ',
    words: 'has 5 bytes; use 16 random bytes or more',
  },
  {
    what: 'a program of etcd that is missing',
    yaml: `mesh:\n  enabled: true\n  log: { binary: ${folder}/etcd }\n`,
    place: '3:18: mesh.log.binary: ',
    words: 'Install etcd 3.5 to 3.7',
  },
  {
    what: 'a program of etcd that is too old',
    yaml: `mesh:\n  enabled: true\n  log: { binary: ${fakeEtcdProgram('3.3.27')} }\n`,
    place: '3:18: mesh.log.binary: ',
    words: 'the mesh knows 3.4 to 3.7',
  },
  {
    what: 'certificates of an etcd that are missing',
    yaml: `mesh:\n  enabled: true\n  log: { endpoints: ["127.0.0.1:2379"], tls: { ca: ${folder}/ca } }\n`,
    place: '3:52: mesh.log.tls.ca: ',
    words: 'no such file',
  },
  {
    what: 'a key of another certificate',
    yaml: tls({ cert: good.cert, key: other.key }),
    place: '4:10: server.tls.key: ',
    words: 'is not the one of the certificate',
  },
  {
    what: 'a certificate that is no PEM',
    yaml: tls({ cert: text, key: good.key }),
    place: '3:11: server.tls.cert: ',
    words: 'give two PEM files',
  },
  {
    what: 'a key that is no PEM',
    yaml: tls({ cert: good.cert, key: text }),
    place: '4:10: server.tls.key: ',
    words: 'give two PEM files',
  },
  {
    what: 'a certificate that has expired',
    yaml: tls(old),
    place: '3:11: server.tls.cert: ',
    words: 'has expired',
  },
  {
    what: 'a certificate that is missing',
    yaml: tls({ cert: join(folder, 'none'), key: good.key }),
    place: '3:11: server.tls.cert: ',
    words: 'cannot be read (ENOENT)',
  },
  {
    what: 'a key that is a folder',
    yaml: tls({ cert: good.cert, key: folder }),
    place: '4:10: server.tls.key: ',
    words: 'cannot be read (EISDIR)',
  },
  {
    what: 'a second certificate with the key of another',
    yaml: sni({ cert: other.cert, key: good.key }),
    place: '5:',
    words: 'server.tls.sni[1].key: ',
  },
  {
    what: 'a second certificate that has expired',
    yaml: sni(old),
    place: '5:',
    words: 'server.tls.sni[1].cert: ',
  },
  {
    what: 'a second certificate that is missing',
    yaml: sni({ cert: join(folder, 'none'), key: good.key }),
    place: '5:',
    words: 'server.tls.sni[1].cert: ',
  },
  ...[join(folder, 'none'), text, file('{"keys":7}'), file('{}'), folder].map((jwks) => ({
    what: `a JWKS file (${jwks.slice(folder.length)})`,
    yaml: foreign(jwks),
    place: '2:67: auth.foreign.jwks: ',
    words: jwks,
  })),
  {
    what: 'a JWKS URL that is none',
    yaml: foreign('"http://"'),
    place: '2:67: auth.foreign.jwks: ',
    words: 'URL',
  },
  ...[
    ['that is missing', join(folder, 'none'), 'no such file'],
    ['without a user', file(''), 'has no user'],
    ['of comments alone', file('# alice\n\r\n'), 'has no user'],
    ['with a name that nobody can type', file(`alice :${hash}\n`), 'blank at its ends'],
    ['with a weak hash', file('bob:{SHA}x\n'), ':1: the password of "bob" is a SHA-1 hash'],
    ['in UTF-16', file(Buffer.from(`\ufeffalice:${hash}\n`, 'utf16le')), 'save it as UTF-8'],
    ['that is a folder', folder, 'it is a folder'],
  ].map(([what, path, words]) => ({
    what: `a users’ file ${what}`,
    yaml: withUsers(path!),
    place: '3:18: auth.htpasswd_file: ',
    words: words!,
  })),
  ...[
    ['that is a file', text, 'is not a folder'],
    ['below a file', join(text, 'a', 'b'), 'is not a folder'],
    ['where nobody can write', '/proc/fastregistry', 'cannot be written to'],
    ['with a file for a folder', storeWith('blobs', 'x'), 'is not a folder'],
  ].map(([what, path, words]) => ({
    what: `a store ${what}`,
    yaml: `storage: { path: ${path} }\n`,
    place: '1:18: storage.path: ',
    words: words!,
  })),
  ...['keys.json', 'access-tokens.json', 'revoked.json'].map((name) => ({
    what: `a damaged ${name}`,
    yaml: `storage: { path: ${storeWith(`auth/${name}`, '{"keys":[')} }\n${withUsers(users)}`,
    place: '1:18: storage.path: ',
    words: name,
  })),
  ...[
    ['that is a folder', folder, 'name a file'],
    ['below a file', join(text, 'audit'), 'is not a folder'],
    ['where nobody can write', '/proc/fastregistry/audit', 'cannot be written to'],
  ].map(([what, path, words]) => ({
    what: `an audit file ${what}`,
    yaml: `audit: { file: ${path} }\n`,
    place: '1:16: audit.file: ',
    words: words!,
  })),
  ...[
    ['that is no PEM', text, 'has no certificate'],
    ['that is missing', join(folder, 'none'), 'ENOENT'],
    ['that is cut off', file(`-----BEGIN CERTIFICATE-----\nMIIB\n`), 'number 1'],
    [
      'whose certificate is damaged',
      file('-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'),
      'number 1',
    ],
  ].map(([what, path, words]) => ({
    what: `an authority ${what}`,
    yaml: mirror(`ca: ${path}`),
    place: '4:9: mirrors[0].ca: ',
    words: words!,
  })),
  ...[
    ['that is missing', join(folder, 'none'), 'ENOENT'],
    ['that is empty', file(' \r\n'), 'is empty'],
    ['of two lines', file('one\ntwo\n'), 'more than one line'],
  ].map(([what, path, words]) => ({
    what: `a password file ${what}`,
    yaml: mirror(`credentials: [{ username: a, password_file: ${path} }]`),
    place: '4:49: mirrors[0].credentials[0].password_file: ',
    words: words!,
  })),
  {
    what: 'a schedule without times',
    yaml: 'storage: { gc: { schedule: "99 99 * * *" } }\n',
    place: '1:28: storage.gc.schedule: ',
    words: 'not a cron schedule',
  },
  {
    what: 'a scrub on the 30th of February',
    yaml: 'storage: { scrub: { enabled: true, schedule: "0 0 30 2 *" } }\n',
    place: '1:46: storage.scrub.schedule: ',
    words: 'not a cron schedule',
  },
  {
    what: 'times to warm that there are not',
    yaml: mirror('warm: { schedule: "0 25 * * *", references: [] }'),
    place: '4:23: mirrors[0].warm.schedule: ',
    words: 'not a cron schedule',
  },
]

const flags = (yaml: string) => (yaml.includes('storage: { path') ? [] : [`--storage=${store}`])

describe('what stops a start', () => {
  test.each(CASES)('$what', async ({ yaml, place, words }) => {
    const path = file(yaml)
    const checked = await run('check-config', `--config=${path}`, ...flags(yaml))
    expect(checked).toMatchObject({ code: 1, starts: 0 })
    expect(checked.lines).toHaveLength(1)
    expect(checked.lines[0]).toContain(words)
    expect(checked.lines[0]!.slice(0, path.length + 1 + place.length)).toBe(`${path}:${place}`)
    const served = await run('serve', `--config=${path}`, ...flags(yaml))
    expect(served).toEqual({ ...checked, code: 1 })
  })

  test.skipIf(process.getuid?.() === 0)('what may not be read or written to', async () => {
    const key = file('x')
    chmodSync(key, 0)
    const closed = storeWith('x', '')
    chmodSync(closed, 0o500)
    for (const yaml of [tls({ cert: key, key }), `storage: { path: ${closed} }\n`]) {
      const { lines } = await run('check-config', `--config=${file(yaml)}`, ...flags(yaml))
      expect(lines.join()).toContain('EACCES')
    }
  })

  test('all of it is told at once, in the order of the file', async () => {
    const yaml = `storage: { path: ${text} }\naudit: { file: ${folder} }\n${withUsers(join(folder, 'none'))}${mirror(`ca: ${text}`)}`
    const { lines } = await run('check-config', file(yaml))
    expect(lines.map((line) => line.split(': ')[1])).toEqual([
      'storage.path',
      'audit.file',
      'auth.htpasswd_file',
      'mirrors[0].ca',
    ])
  })

  test('a value of a flag is named by its flag', async () => {
    const { lines } = await run('serve', `--storage=${text}`)
    expect(lines).toEqual([expect.stringMatching(/^--storage: storage\.path: .* is not a folder/)])
  })
})

describe('what does not', () => {
  const bundle = file('')
  test('everything as it should be', async () => {
    writeFileSync(
      bundle,
      `us\r\n${readFileSync(authority.cert, 'utf8').repeat(2).replaceAll('\n', '\r\n')}`,
    )
    const yaml = `storage: { path: ${join(folder, 'new', 'store')} }
audit: { file: ${join(folder, 'new', 'audit.log')} }
${sni(other)}${withUsers(users)}  foreign: { issuer: i, audience: a, jwks: ${file('\ufeff{"keys":[]}')} }
${mirror(`ca: ${bundle}\n    credentials: [{ username: a, password_file: ${file('\ufeffsecret\r\n')} }]`)}`
    const path = file(yaml)
    expect(await run('check-config', path)).toEqual({ code: 0, lines: [`${path}: ok`], starts: 0 })
    expect(await run('serve', `--config=${path}`)).toMatchObject({ code: 0, lines: [], starts: 1 })
  })

  test('files that nobody asks for', async () => {
    const path = file(`auth: { htpasswd_file: ${join(folder, 'none')} }\n`)
    expect(await run('check-config', `--config=${path}`, `--storage=${store}`)).toMatchObject({
      code: 0,
    })
  })

  test('bcrypt costs that differ are a warning', async () => {
    const mixed = file(`a:${hash}\nb:${hash.replace('$10$', '$04$')}\n`)
    const path = file(withUsers(mixed))
    const { code, lines } = await run('check-config', `--config=${path}`, `--storage=${store}`)
    expect(code).toBe(0)
    expect(lines[0]).toContain(`${path}:3:18: warning: auth.htpasswd_file: `)
    expect(lines[1]).toContain(': ok')
  })
})
