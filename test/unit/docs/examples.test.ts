/**
 * @module Examples of README.md and of the pages are true: configurations are those with which a server
 * could start, commands are understood, paths and bodies are those of the API. A block that cannot be
 * checked says why in a comment before it.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as v from 'valibot'
import { afterAll, describe, expect, test } from 'vitest'
import { pemOf, Sigstore } from '../../../bench/sigstore/keyless.ts'
import { main } from '../../../src/cli/main.ts'
import { parseRoute } from '../../../src/http/router.ts'
import { type RouteKind, routeRows } from '../../../src/http/routes.ts'
import { judgeConfig } from '../../../src/server/judge/judge.ts'
import { htpasswd } from '../../support/access.ts'
import { Authority } from '../../support/certificates.ts'
import { runCli } from '../../support/cli.ts'
import { type Fence, fencesOf, pageNames } from '../../support/documents.ts'
import { putFakeEtcdOnPath } from '../../support/mesh/fake-etcd-program.ts'
import { adminEndpoints } from '../../support/readme-tables.ts'
import { certificate as makeCertificate } from '../../support/signed/certificate.ts'
import { makeSigner } from '../../support/signing.ts'

const folder = mkdtempSync(join(tmpdir(), 'fastregistry-examples-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A file or folder of this test in the place of one that an example names. */
putFakeEtcdOnPath()

const standIn = (name: string, content?: string) => {
  const path = join(folder, name)
  if (content === undefined) mkdirSync(path, { recursive: true })
  else writeFileSync(path, content)
  return path
}

const certificate = new Authority(folder).issue('registry', 'DNS:registry.example')
const users = standIn('htpasswd', htpasswd({ alice: 'x', bob: 'y', root: 'z', ci: 'w' }))
const store = standIn('store')
const config = standIn(
  'config.yaml',
  `storage: { path: ${store} }\nauth: { type: htpasswd, htpasswd_file: ${users} }\n`,
)

const trustedRoot = JSON.stringify((await Sigstore.open()).root())
const trustStore = standIn('notation')
writeFileSync(
  join(trustStore, 'root.pem'),
  pemOf(makeCertificate({ subject: 'O=acme', isAuthority: true }).der),
)

/** What stands in for the paths of the examples, longest first. */
const STAND_INS: readonly (readonly [string, string])[] = [
  ['/etc/fastregistry/tls/server.crt', certificate.cert],
  ['/etc/fastregistry/tls/server.key', certificate.key],
  ['/etc/fastregistry/htpasswd', users],
  ['/etc/fastregistry/config.yaml', config],
  ['/etc/fastregistry/release.pub', standIn('release.pub', makeSigner().pem)],
  ['/etc/fastregistry/ci.pub', standIn('ci.pub', makeSigner().pem)],
  ['/etc/fastregistry/scanner.pub', standIn('scanner.pub', makeSigner().pem)],
  ['/etc/fastregistry/trusted_root.json', standIn('root.json', trustedRoot)],
  ['/etc/fastregistry/notation/acme', trustStore],
  ['/etc/fastregistry/notation/times', trustStore],
  ['/etc/fastregistry/mesh-secret', standIn('mesh-secret', 'sixteen bytes at least')],
  ['/run/secrets/hub', standIn('secret', 'secret')],
  ['/run/secrets/quay', standIn('quay', 'secret')],
  ['/var/log/fastregistry', standIn('log')],
  ['/var/lib/fastregistry', store],
  ['/backup/registry', join(folder, 'backup')],
]

function withStandIns(text: string): string {
  return STAND_INS.reduce((all, [path, own]) => all.replaceAll(path, own), text)
}

const fences = pageNames().flatMap(fencesOf)
const checked = (language: string) =>
  fences
    .filter((fence) => fence.language === language && fence.notChecked === undefined)
    .map((fence) => ({ ...fence, place: `${fence.page}:${fence.line}` }))

test('there are examples of both kinds, and few that are not checked', () => {
  expect(checked('yaml').length).toBeGreaterThan(8)
  expect(checked('sh').length).toBeGreaterThan(12)
  const left = fences.filter(({ notChecked }) => notChecked !== undefined)
  expect(left.map(({ page }) => page)).toEqual(['docs/behind-a-proxy.md', 'docs/behind-a-proxy.md'])
})

test('README starts the registry with one command, and tests it with another', () => {
  const blocks = fencesOf('README.md').map(({ text }) => text)
  expect(blocks).toContain('npm ci && npm start')
  expect(blocks).toContain('npm ci && npm test')
})

describe('a configuration', () => {
  test.each(checked('yaml'))('of $place is one with which a server starts', async ({ text }) => {
    const file = join(folder, 'example.yaml')
    writeFileSync(file, withStandIns(text))
    await expect(judgeConfig({ file, environment: {} })).resolves.toHaveProperty('config')
  })
})

describe('the commands', () => {
  test.each(checked('sh'))('of $place are understood', async (fence) => {
    const lines = commandsOf(fence)
    expect(lines, 'a block without a line that is checked says why').not.toEqual([])
    for (const words of lines) await checkCommand(words)
  })
})

test('a command, an option, a path and a body that are not there are seen', async () => {
  const wrong = [
    ['fastregistry', 'gcc', 'plan'],
    ['fastregistry', 'gc', 'plan', '--hurry'],
    ['fastregistry', 'serve', '--stroage', 'x'],
    ['npm', 'run', 'nothing'],
    ['curl', 'localhost:5000/admin/nothing'],
    ['curl', '-X', 'POST', 'localhost:5000/readyz'],
    ['curl', '-X', 'POST', 'localhost:5000/admin/gc', '-d', '{"dryRun": 1}'],
    ['curl', 'localhost:5000/admin/repositories?sorted=name'],
  ]
  for (const words of wrong) await expect(checkCommand(words), words.join(' ')).rejects.toThrow()
})

/** The command lines of a block that can be checked, as words without quotes and comments. */
function commandsOf({ text }: Fence): readonly (readonly string[])[] {
  return text
    .split('\n')
    .flatMap((line) => line.replace(/(^|\s)#.*$/, '').split('&&'))
    .map((line) =>
      [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c!),
    )
    .filter(([program = '']) => ['fastregistry', 'node', 'npm', 'curl'].includes(program))
}

/** Rejects when the command is not one of ours, or would not be understood. */
async function checkCommand([program, ...words]: readonly string[]): Promise<void> {
  switch (program) {
    case 'node':
      expect(words[0]).toBe('dist/src/cli.js')
      return understood(words.slice(1))
    case 'npm':
      return isScript(words)
    case 'curl':
      return isRequest(words)
    default:
      return understood(words)
  }
}

function isScript([verb = '', name = '']: readonly string[]): void {
  if (verb === 'ci') return
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  const { scripts } = JSON.parse(text) as { readonly scripts: Readonly<Record<string, string>> }
  expect(Object.keys(scripts)).toContain(verb === 'run' ? name : verb)
}

/** Words of an example that stand for something. */
const PLACEHOLDERS: Readonly<Record<string, string>> = {
  FILE: config,
  PLAN: '000000000000000-0000000000000000',
  'HOST:PORT': 'localhost:5000',
  ID: 'abcdefgh',
}

/** Runs it where it can do nothing: only whether it was understood counts (exit code 2: it was not). */
async function understood(given: readonly string[]): Promise<void> {
  const args = given.map((word) => withStandIns(PLACEHOLDERS[word] ?? word))
  const lines: string[] = []
  const code =
    args[0] === 'htpasswd' || args[0] === 'token'
      ? // These read standard input and work on files: on those of this test.
        (await runCli(args, 'password\n')).code
      : await main(args, terminalOf(lines)).catch((error: unknown) => {
          // It was understood, and went to do its work.
          if ((error as Error).message !== notHere) throw error
          return 0
        })
  expect(code, `fastregistry ${given.join(' ')}: ${lines.join('\n')}`).not.toBe(2)
  expect(code).not.toBeNull()
}

/** How a command ends that was understood and would start something. */
const notHere = 'not in this test'

/** A terminal without a server to ask, and without any that could be started. */
function terminalOf(lines: string[]): Parameters<typeof main>[1] {
  const none = () => Promise.reject(new Error(notHere))
  return {
    environment: { FASTREGISTRY_SERVER: 'http://127.0.0.1:9', FASTREGISTRY_CONFIG: config },
    print: (line: string) => void lines.push(line),
    printError: (line: string) => void lines.push(line),
    signals: { on: () => undefined, off: () => undefined, once: () => undefined },
    exit: () => undefined,
    loadLogger: none,
    loadServer: none,
    loadMaintenance: none,
    loadAdoption: none,
  } as never
}

/** Method, path, parameters and body belong to a route or to an endpoint of the admin API. */
function isRequest(words: readonly string[]): void {
  const after = (flag: string) => {
    const at = words.indexOf(flag)
    return at === -1 ? undefined : words[at + 1]
  }
  const target = words.find((word) => word.startsWith('localhost:5000/'))
  const url = new URL(`http://${target ?? 'none'}`)
  const method = after('-X') ?? 'GET'
  const route = parseRoute(url.pathname)
  if (route === undefined) throw new Error(`no route has ${url.pathname}`)
  if (route.kind !== 'admin') {
    expect(Object.keys(routeRows.get(route.kind as RouteKind)!.methods)).toContain(method)
    return
  }
  const pathOf = (path: string) =>
    path.replace('{repository}', '[^/]+(/[^/]+)*').replace(/\{\w+\}/g, '[^/]+')
  const endpoint = adminEndpoints().find(
    (one) => one.method === method && new RegExp(`^${pathOf(one.path)}$`).test(url.pathname),
  )
  if (endpoint === undefined) throw new Error(`no endpoint has ${method} ${url.pathname}`)
  v.parse(endpoint.query ?? v.strictObject({}), Object.fromEntries(url.searchParams))
  const body = after('-d')
  if (body !== undefined) v.parse(endpoint.body!, JSON.parse(body))
}
