/** @module Runs the real command line, `node dist/src/cli.js`, to its end. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
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

/** The last line that it printed: where a command says what others go on with. */
export function lastLine({ stdout }: CliResult): string {
  return stdout.trimEnd().split('\n').at(-1) ?? ''
}
