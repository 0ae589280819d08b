/** @module Runs the real command line, `node dist/src/cli.js`, to its end. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { main } from '../../src/cli/main.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { projectRoot } from './start-registry.ts'

export interface CliResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** `input` is its standard input. */
export function runCli(args: readonly string[], input = ''): Promise<CliResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(projectRoot(), 'dist/src/cli.js'), ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
    // A command that does not read ends the pipe early, which is no fault.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}

/** Runs a command line in this process, against the server at a port, where there is one. */
export async function runHere(line: string, port?: number) {
  const out: string[] = []
  const errors: string[] = []
  const terminal = {
    environment: port === undefined ? {} : { FASTREGISTRY_SERVER: `http://127.0.0.1:${port}` },
    print: (text: string) => out.push(text),
    printError: (text: string) => errors.push(text),
  } as unknown as Terminal
  const code = await main(line.split(' '), terminal)
  return { code, out: out.join('\n'), errors: errors.join('\n') }
}

/** The last line that it printed: where a command says what others go on with. */
export function lastLine({ stdout }: CliResult): string {
  return stdout.trimEnd().split('\n').at(-1) ?? ''
}
