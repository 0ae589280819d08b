/**
 * @module The table of commands, and what is made from it: parser, help, completion.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Command, nameOf } from '../../../src/cli/command.ts'
import { COMMANDS } from '../../../src/cli/commands.ts'
import { completionScript } from '../../../src/cli/completion.ts'
import { flagsOf } from '../../../src/cli/flags.ts'
import { main } from '../../../src/cli/main.ts'
import { parseCommandLine } from '../../../src/cli/parse.ts'
import type { Terminal } from '../../../src/cli/terminal.ts'
import { FLAG_KEYS, SWITCH_FLAGS } from '../../../src/config/schema.ts'

const rows = COMMANDS.map((command) => [nameOf(command), command] as const)

async function print(...args: string[]): Promise<string> {
  const lines: string[] = []
  const terminal = { environment: {}, print: (line: string) => lines.push(line) }
  expect(await main(args, terminal as unknown as Terminal)).toBe(0)
  return lines.join('\n')
}

const parse = (text: string) => {
  const parsed = parseCommandLine(text.split(' '), COMMANDS)
  return parsed.ok ? parsed.value : parsed.error
}

describe('each command', () => {
  test.each(rows)('%s has examples that parse, and mean it', (_name, command) => {
    expect(command.examples.length).toBeGreaterThan(0)
    for (const example of command.examples) {
      expect(parse(example), example).toMatchObject({ command })
    }
  })

  test.each(rows)('%s is loaded from a file that exports it', async (_name, { load }) => {
    expect(await load()).toBeTypeOf('function')
  })

  test.each(rows)('%s has each of its flags and examples in its help', async (_name, command) => {
    for (const args of [
      ['help', ...command.words],
      [...command.words, '--help'],
      ['-h', ...command.words],
    ]) {
      const text = await print(...args)
      expect(text).toContain(command.summary)
      for (const [flag, { value, summary }] of Object.entries(flagsOf(command))) {
        const name = value === undefined ? `--${flag}` : `--${flag} ${value}`
        expect(text).toMatch(new RegExp(`^ {2}${escaped(name)}\\s+${escaped(summary)}$`, 'm'))
      }
      for (const example of command.examples)
        expect(text).toContain(`fastregistry ${example}\n`.trim())
    }
  })

  test.each(rows)('%s is in the help of everything', async (_name, command) => {
    expect(await print('help')).toMatch(
      new RegExp(`^ {2}${escaped(command.words.join(' '))}\\b`, 'm'),
    )
  })

  test.each(rows)('%s says with an example what a flag wants', (_name, command) => {
    for (const [flag, { type, example }] of Object.entries(flagsOf(command))) {
      if (type === 'switch') continue
      const line = [...command.words, `--${flag}`].join(' ')
      expect(parse(line)).toBe(`flag --${flag} needs a value, such as --${flag}=${example}`)
      expect(example).toBeDefined()
    }
  })
})

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

test('before a command is known, nothing of a command, a configuration or a server is loaded', () => {
  const root = new URL('../../../', import.meta.url)
  const reached = new Set<string>()
  const open = [new URL('src/cli.ts', root).href]
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (reached.has(file)) continue
    reached.add(file)
    const text = readFileSync(new URL(file), 'utf8')
    for (const [, target = ''] of text.matchAll(
      /^(?:import|export)(?! type)[^;']*? from '(\..*)'$/gm,
    )) {
      open.push(new URL(target, file).href)
    }
  }
  const names = [...reached].map((file) => file.slice(root.href.length))
  expect(names).toContain('src/cli/parse.ts')
  const early =
    /^src\/(cli\/(commands|help|completion)|config\/(?!explain)|(?!cli|config|registry))/
  expect(names.filter((name) => early.test(name) && name !== 'src/cli/commands.ts')).toEqual([])
})

describe('the flags', () => {
  test('mean the same kind of value in every command, so that words are found behind them', () => {
    const kinds = new Map<string, Set<string>>()
    for (const command of COMMANDS) {
      for (const [flag, { type }] of Object.entries(flagsOf(command))) {
        kinds.set(flag, (kinds.get(flag) ?? new Set()).add(type))
      }
    }
    expect([...kinds].filter(([, types]) => types.size > 1)).toEqual([])
  })

  test('that override settings are those of the schema', () => {
    const found = new Map<string, string>()
    for (const [flag, { setting, type }] of Object.entries(flagsOf(COMMANDS[0]!))) {
      if (setting === undefined) continue
      found.set(flag, setting)
      expect(type === 'switch').toBe(SWITCH_FLAGS.has(flag))
    }
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(FLAG_KEYS))
  })

  test.each([
    ['tags team/app --sort -pushed', 'sort', '-pushed'],
    ['-sort=-size repos', 'sort', '-size'],
    ['--json gc plan', 'json', 'true'],
    ['gc --json=true plan', 'json', 'true'],
    ['check-config c.yaml --explain a pull b', 'config', 'c.yaml'],
    ['check-config --explain a pull b c.yaml', 'config', 'c.yaml'],
    ['--storage=/d token list --storage=/e', 'storage', '/e'],
  ])('%s', (text, flag, value) => {
    const line = parse(text)
    if (typeof line === 'string') throw new Error(line)
    expect(line.text(flag)).toBe(value)
  })

  test('a list holds what commas separate, and every repetition', () => {
    const line = parse('token create --actions pull,push --actions delete')
    if (typeof line === 'string') throw new Error(line)
    expect(line.list('actions')).toEqual(['pull', 'push', 'delete'])
  })

  test('a command that asks for a flag which the table does not have is a mistake of ours', () => {
    const line = parse('version')
    if (typeof line === 'string') throw new Error(line)
    expect(() => line.text('nonsense')).toThrow(TypeError)
  })
})

const isThere = (shell: string) => spawnSync(shell, ['-c', 'true']).status === 0

describe.each(['bash', 'zsh', 'fish'])('the completion for %s', (shell) => {
  const script = completionScript(shell, COMMANDS)

  test('is what the command prints', async () => {
    expect(await print('completion', shell)).toBe(script)
  })

  test('names every command and every flag', () => {
    for (const command of COMMANDS) {
      for (const words of [command.words, ...(command.aliases ?? [])]) {
        for (const word of words) expect(script).toMatch(new RegExp(`[ ']${word}[ ']`))
      }
      for (const flag of Object.keys(flagsOf(command))) expect(script).toContain(dashed(flag))
    }
  })

  const dashed = (flag: string) => (shell === 'fish' ? `-l ${flag} ` : `--${flag}`)

  test.runIf(isThere(shell))('is accepted by the shell', () => {
    const folder = mkdtempSync(join(tmpdir(), 'completion-'))
    const file = join(folder, shell)
    writeFileSync(file, script)
    const { status, stderr } = spawnSync(shell, ['-n', file], { encoding: 'utf8' })
    rmSync(folder, { recursive: true })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })
})

describe('the completion for bash offers', () => {
  const script = completionScript('bash', COMMANDS)
  const offers = (...words: string[]) => {
    const call = `COMP_WORDS=(fastregistry ${words.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=${words.length}
_fastregistry
printf '%s\\n' "\${COMPREPLY[@]}"`
    const { stdout } = spawnSync('bash', ['-c', `${script}\n${call}`], { encoding: 'utf8' })
    return stdout.trim().split('\n')
  }

  test('the words that may follow', () => {
    const first = new Set(
      COMMANDS.flatMap(({ words, aliases = [] }) => [words, ...aliases].map(([word]) => word!)),
    )
    expect(new Set(offers(''))).toEqual(first)
    expect(offers('to')).toEqual(['token'])
    expect(offers('token', 'r')).toEqual(['revoke', 'rotate-keys'])
    expect(offers('completion', 'z')).toEqual(['zsh'])
    expect(offers('retention', 'ex')).toEqual(['explain'])
  })

  test('the flags of the command, wherever they stand', () => {
    expect(offers('gc', 'plan', '--d')).toEqual(['--dry-run'])
    expect(offers('gc', '--json', 'run', '--a')).toEqual(['--accept-clock'])
    expect(offers('--o')).toEqual(['--open'])
    const all: Command = COMMANDS.find(({ words }) => words.join(' ') === 'token create')!
    const flags = [...Object.keys(flagsOf(all)), 'help'].map((flag) => `--${flag}`)
    expect(new Set(offers('token', 'create', '--'))).toEqual(new Set(flags))
  })
})
