// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${NAME} is the syntax under test
import { EventEmitter } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { COMMANDS } from '../../src/cli/commands.ts'
import { main } from '../../src/cli/main.ts'
import { parseCommandLine } from '../../src/cli/parse.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import type { Config } from '../../src/config/config.ts'
import { createLogger } from '../../src/observability/logger.ts'
import { RegistryError } from '../../src/registry/errors.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cli-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function writeConfig(text: string): string {
  const file = join(folder, `${Math.abs(hash(text))}.yaml`)
  writeFileSync(file, text)
  return file
}

function hash(text: string): number {
  let value = 0
  for (const letter of text) value = (value * 31 + letter.codePointAt(0)!) | 0
  return value
}

/** A terminal that remembers, with a server that only tells what happens to it. */
function stage(start: (config: Config) => Promise<void> = async () => {}) {
  const lines: string[] = []
  const log: string[] = []
  const signals = new EventEmitter()
  const exits: number[] = []
  const started: Config[] = []
  let finishStop = () => {}
  const stopFinished = new Promise<void>((resolve) => {
    finishStop = resolve
  })
  const terminal: Terminal = {
    environment: { STORE: join(folder, 'store') },
    signals,
    print: (line) => lines.push(line),
    printError: (line) => lines.push(`stderr: ${line}`),
    exit: (code) => exits.push(code),
    loadLogger: async () => ({
      createLogger: (level) => createLogger(level, { write: (text) => log.push(text) }),
    }),
    loadServer: async () => ({
      startServer: async (config: Config) => {
        await start(config)
        started.push(config)
        return { ports: [5000], stop: () => stopFinished }
      },
    }),
  }
  const messages = () => log.map((line) => (JSON.parse(line) as { msg: string }).msg)
  return { terminal, lines, log, messages, signals, exits, started, finishStop }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('the command line', () => {
  test.each([
    [[], 'serve', undefined, {}],
    [['serve'], 'serve', undefined, {}],
    [['-config=c.yaml'], 'serve', 'c.yaml', {}],
    [['--config', 'c.yaml', 'serve'], 'serve', 'c.yaml', {}],
    [
      ['-storage=/d', '-addr=:8080'],
      'serve',
      undefined,
      { 'storage.path': '/d', 'server.addr': ':8080' },
    ],
    [
      ['serve', '--storage', './d', '-addr', ':1'],
      'serve',
      undefined,
      { 'storage.path': './d', 'server.addr': ':1' },
    ],
    [['--addr=:1', '--addr=:2'], 'serve', undefined, { 'server.addr': ':2' }],
    [['check-config', 'c.yaml'], 'check-config', 'c.yaml', {}],
    [['verify-config', '--config=c.yaml'], 'check-config', 'c.yaml', {}],
    [['check-config'], 'check-config', undefined, {}],
    [['version'], 'version', undefined, {}],
    [['-version'], 'version', undefined, {}],
    [['--version'], 'version', undefined, {}],
    [['serve', '--help'], 'help', undefined, {}],
    [['-h'], 'help', undefined, {}],
  ] as const)('%j is understood', (args, command, file, settings) => {
    const result = parseCommandLine(args, COMMANDS)
    if (!result.ok) throw new Error(result.error)
    const line = result.value
    expect(line.command.words).toEqual([command])
    expect(line.command.needs === 'nothing' ? undefined : line.text('config')).toBe(file)
    expect(Object.fromEntries(line.settings)).toEqual(settings)
  })

  test.each([
    [['serv'], 'unknown command "serv"; did you mean "serve"?'],
    [['check-conifg', 'x'], 'unknown command "check-conifg"; did you mean "check-config"?'],
    [['frobnicate'], 'unknown command "frobnicate"; see fastregistry help'],
    [['--adr=:1'], 'unknown flag "--adr"; did you mean "--addr"?'],
    [['-confg', 'x'], 'unknown flag "--confg"; did you mean "--config"?'],
    [['--'], 'unknown flag "--"; see fastregistry help'],
    [['-'], 'unknown flag "-"; see fastregistry help'],
    [['---config=x'], 'unknown flag "---config=x"; see fastregistry help'],
    [['--config'], 'flag --config needs a value, such as --config=config.yaml'],
    [['--config='], 'flag --config needs a value, such as --config=config.yaml'],
    [['--storage', '--addr=:1'], 'flag --storage needs a value, such as --storage=./data'],
    [['serve', 'c.yaml'], 'unexpected "c.yaml" after serve; see fastregistry help serve'],
    [
      ['check-config', 'a', 'b'],
      'unexpected "b" after check-config; see fastregistry help check-config',
    ],
    [
      ['check-config', '--config=a', 'b'],
      'unexpected "b" after check-config; see fastregistry help check-config',
    ],
    [['gc', 'aply', 'x'], 'unknown command "gc aply"; did you mean "gc apply"?'],
    [['htpasswd', 'foo'], 'unknown command "htpasswd foo"; see fastregistry help htpasswd'],
    [['retention', 'pln'], 'unknown command "retention pln"; did you mean "retention plan"?'],
    [['gc', '--dryrun'], 'unknown flag "--dryrun"; did you mean "--dry-run"?'],
    [['token'], 'token needs create, list, revoke or rotate-keys; see fastregistry help token'],
    [['backup'], 'backup needs a folder to write to; see fastregistry help backup'],
    [['serve', '--repair'], 'flag --repair belongs to verify; see fastregistry help serve'],
    [['--repository=a'], 'flag --repository belongs to adopt; see fastregistry help'],
    [['serve', '--json'], 'flag --json does not belong here; see fastregistry help serve'],
    [['gc', '--json=no'], 'flag --json takes no value'],
    [['tags'], 'tags needs the name of a repository; see fastregistry help tags'],
    [['health', 'dead'], 'health needs one of: ready or live; see fastregistry help health'],
    [['help', 'serv'], 'there is no command "serv"; did you mean "serve"?'],
  ])('%j is refused with advice, and ends with 2', async (args, message) => {
    const { terminal, lines } = stage()
    expect(await main(args, terminal)).toBe(2)
    expect(lines).toEqual([`stderr: fastregistry: ${message}`])
  })
})

describe('short commands', () => {
  test('version prints the version of package.json and of Node', async () => {
    const file = new URL('../../package.json', import.meta.url)
    const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string }
    const { terminal, lines } = stage()
    expect(await main(['version'], terminal)).toBe(0)
    expect(lines).toEqual([`fastregistry ${version} (node ${process.version})`])
  })

  test('help names every command, and the flags of one', async () => {
    const { terminal, lines } = stage()
    expect(await main(['help'], terminal)).toBe(0)
    for (const word of ['serve', 'check-config', 'version', 'gc plan', 'token create']) {
      expect(lines[0]).toContain(`\n  ${word}`)
    }
    for (const args of [
      ['help', 'serve'],
      ['serve', '--help'],
      ['-h', 'serve'],
    ]) {
      const one = stage()
      expect(await main(args, one.terminal)).toBe(0)
      for (const flag of ['--config FILE', '--storage DIR', '--addr ADDRESS', '--open']) {
        expect(one.lines[0]).toContain(`\n  ${flag}`)
      }
    }
  })

  test('check-config says ok, or everything that is wrong', async () => {
    const good = writeConfig('storage: { path: "${STORE}" }')
    const bad = writeConfig('log:\n  level: loud\nreleases: { enabled: true }')
    const fine = stage()
    expect(await main(['check-config', good], fine.terminal)).toBe(0)
    expect(fine.lines).toEqual([`${good}: ok`])
    const wrong = stage()
    expect(await main(['check-config', bad], wrong.terminal)).toBe(1)
    expect(wrong.lines.join()).toMatch(
      /stderr: .*:2:10: log\.level: .*\n.*:3:22: "releases\.enabled/,
    )
  })
})

describe('serve', () => {
  test('starts with the configuration, says that it is ready, stops at a signal and ends with 0', async () => {
    const { terminal, messages, log, signals, started, finishStop } = stage()
    const file = writeConfig('storage: { path: "${STORE}" }')
    const ended = main(['--config', file, '--addr=:1234'], terminal)
    await until(() => messages().includes('ready'))
    expect(started[0]?.storage.path).toBe(join(folder, 'store'))
    expect(started[0]?.server.addr.port).toBe(1234)
    expect(JSON.parse(log[0]!)).toMatchObject({ ports: [5000], storage: join(folder, 'store') })
    signals.emit('SIGTERM')
    await until(() => messages().includes('stopping'))
    finishStop()
    expect(await ended).toBe(0)
    expect(messages()).toEqual(['ready', 'stopping', 'stopped'])
  })

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ])('a second %s ends at once with %i', async (signal, code) => {
    const { terminal, messages, signals, exits } = stage()
    void main([], terminal)
    await until(() => messages().includes('ready'))
    signals.emit('SIGTERM')
    expect(exits).toEqual([])
    signals.emit(signal)
    expect(exits).toEqual([code])
  })

  test('a signal while starting stops what has started', async () => {
    let finishStart = () => {}
    const startFinished = new Promise<void>((resolve) => {
      finishStart = resolve
    })
    const { terminal, signals, finishStop } = stage(() => startFinished)
    const ended = main([], terminal)
    await until(() => signals.listenerCount('SIGTERM') > 0)
    signals.emit('SIGTERM')
    finishStart()
    finishStop()
    expect(await ended).toBe(0)
  })

  test.each([
    ['EADDRINUSE', 'in use by another process'],
    ['EACCES', 'check the rights on storage.path'],
    ['EOTHER', 'two lines'],
  ])('a start that fails with %s is told in one line, and ends with 1', async (code, advice) => {
    const { terminal, lines } = stage(async () => {
      throw Object.assign(new Error('two\nlines'), { code })
    })
    expect(await main([], terminal)).toBe(1)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^stderr: fastregistry: cannot start: [^\n]*$/)
    expect(lines[0]).toContain(advice)
  })

  test.each(['LOG_SILENT', 'NOT_DONE', 'OUTCOME_UNKNOWN'] as const)(
    'a start that the log of the mesh does not let through (%s) is tried again',
    async (kind) => {
      let starts = 0
      const { terminal, messages, signals, finishStop } = stage(async () => {
        starts += 1
        if (starts < 3) throw new RegistryError(kind)
      })
      const ended = main([], terminal)
      await until(() => messages().includes('ready'))
      expect(starts).toBe(3)
      signals.emit('SIGTERM')
      finishStop()
      expect(await ended).toBe(0)
    },
    20_000,
  )

  test('a signal ends the wait for the log', async () => {
    const { terminal, messages, signals } = stage(async () => {
      throw new RegistryError('LOG_SILENT')
    })
    const ended = main([], terminal)
    await until(() => messages().some((text) => text.includes('starting again')))
    signals.emit('SIGTERM')
    expect(await ended).toBe(0)
  })

  test('a wrong configuration starts nothing, and ends with 1', async () => {
    const { terminal, lines, started } = stage()
    expect(await main(['--addr=5000'], terminal)).toBe(1)
    expect(lines).toEqual(['stderr: --addr: expected an address with a port, such as ":5000"'])
    expect(started).toEqual([])
  })
})
