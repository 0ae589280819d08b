/** @module Runs a client program to its end; a failure carries everything that it printed. */

import { spawn } from 'node:child_process'

const TIMEOUT_MS = 300_000

export interface RunOptions {
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
}

export interface RunResult {
  readonly stdout: string
  readonly stderr: string
}

/** Throws when the program fails, is not there, or takes longer than 5 minutes. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult> {
  const { code, stdout, stderr } = await attempt(command, args, options)
  if (code === 0) return { stdout, stderr }
  throw new Error(`${command} ${args.join(' ')}\nended with ${code}\n${stdout}${stderr}`)
}

/** Runs a command that has to fail; returns what it printed, so that a test can check the reason. */
export async function runFailing(
  command: string,
  args: readonly string[],
  options: RunOptions,
): Promise<string> {
  const { code, stdout, stderr } = await attempt(command, args, options)
  if (code === 0) throw new Error(`${command} ${args.join(' ')}\nsucceeded\n${stdout}${stderr}`)
  return stdout + stderr
}

function attempt(
  command: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult & { readonly code: number | NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      ...options,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
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
    child.once('close', (code, signal) => resolve({ code: code ?? signal, stdout, stderr }))
  })
}
