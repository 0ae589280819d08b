/**
 * @module The recipes of `docs/contributing.md`, followed in a copy of this checkout: it compiles, and
 * what they add is there in a server that runs. So the recipes stay true.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { textOf } from '../../support/documents.ts'
import { follow, type Recipe, recipesOf } from '../../support/recipes.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'fastregistry-recipes-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const recipes = recipesOf(textOf('docs/contributing.md'))

/** A server with what the recipes add; says what it finds as JSON. Runs in the copy. */
const TRIAL = `
import { loadConfigText } from './dist/src/config/load.js'
import { main } from './dist/src/cli/main.js'
import { createLogger } from './dist/src/observability/logger.js'
import { startServer } from './dist/src/server.js'
import { systemClock } from './dist/src/runtime/clock.js'
import { openStorage } from './dist/src/storage/open.js'
import { CountedReader } from './dist/src/blobs/counted/driver.js'

const text = 'server: { addr: "127.0.0.1:0", greeting: welcome }\\nstorage: { path: ./store }\\nlog: { access: false }\\n'
const config = await loadConfigText(text, 'trial.yaml')
const server = await startServer(config, { logger: createLogger('fatal', { write: () => undefined }) })
const url = 'http://127.0.0.1:' + server.ports[0]
const found = { endpoint: await (await fetch(url + '/admin/greeting')).json() }
const openApi = await (await fetch(url + '/admin/openapi.json')).json()
found.isDescribed = '/admin/greeting' in openApi.paths
const metrics = await (await fetch(url + '/metrics')).text()
found.metric = Number(/^fastregistry_commits_total (\\d+)$/m.exec(metrics)?.[1])
const lines = []
const terminal = { environment: {}, print: (line) => lines.push(line), printError: (line) => lines.push(line) }
found.exitCode = await main(['greeting', '--server', url], terminal)
found.printed = lines.splice(0)
await main(['help'], terminal)
found.isInHelp = /^ {2}greeting +print the greeting/m.test(lines.join('\\n'))
await server.stop()
const storage = await openStorage({
  path: './store', cacheBytes: 0, durability: 'full', reader: 'file', ingestThreads: 1,
  clock: systemClock, reserveBytes: 0, onQuarantined: () => undefined,
})
const put = { change: 'put', in: 'greetings', key: 'team/app', row: { text: 'good morning' } }
await storage.metadata.commit({ checks: [], changes: [put] })
found.row = storage.metadata.get('greetings', 'team/app')
found.isDriver = storage.driver.reader instanceof CountedReader
await storage.close()
console.log(JSON.stringify(found))
`

function run(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: folder,
    encoding: 'utf8',
    timeout: 30_000,
  })
  expect(status, `${stdout}${stderr}`).toBe(0)
  return stdout
}

describe('the recipes', () => {
  test('are there for each kind of addition', () => {
    expect(recipes.map(({ title }) => title)).toEqual([
      'How do I add a configuration key?',
      'How do I add an admin endpoint?',
      'How do I add a metric?',
      'How do I add a command?',
      'How do I add a table?',
      'How do I add a blob driver?',
    ])
    for (const { title, steps } of recipes) expect(steps.length, title).toBeGreaterThan(0)
  })

  test('add, together, what each one promises', () => {
    for (const name of ['src', 'workers', 'package.json', 'tsconfig.json']) {
      cpSync(join(root, name), join(folder, name), { recursive: true })
    }
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    for (const recipe of recipes) follow(recipe, folder)
    run(join(root, 'node_modules/typescript-compiler/bin/tsc'), '-p', 'tsconfig.json')
    writeFileSync(join(folder, 'trial.mjs'), TRIAL)
    expect(JSON.parse(run('trial.mjs'))).toEqual({
      endpoint: { greeting: 'welcome' },
      isDescribed: true,
      metric: expect.toSatisfy((commits: number) => commits > 0),
      exitCode: 0,
      printed: ['welcome'],
      isInHelp: true,
      row: { text: 'good morning' },
      isDriver: true,
    })
  }, 40_000)

  test('name lines that are there once', () => {
    const step = { kind: 'below', file: 'package.json', line: 'no such line', text: 'x' } as const
    const wrong: Recipe = { title: 'wrong', steps: [step] }
    expect(() => follow(wrong, root)).toThrow('has 0 times the line')
  })
})
