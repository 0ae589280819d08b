/**
 * @module The first moments of an etcd, in a process of its own: it asks the kernel to be ended with the
 * node, and then becomes etcd, which inherits the wish and nothing else. Where the kernel has no such wish,
 * it stays and watches its input, which ends with the node; etcd is its child then.
 */
import { spawn } from 'node:child_process'
import { bindKoffi } from '../../../runtime/libc.ts'

const PR_SET_PDEATHSIG = 1
const SIGKILL = 9

/** `node`: pid of the node. `program`: absolute. `mode`: `watch` does without the kernel. */
export interface LaunchOrder {
  readonly node: number
  readonly mode: 'become' | 'watch'
  readonly program: string
  readonly args: readonly string[]
}

/** Reads the arguments that `launchArgs` wrote. */
export function readLaunchArgs([mode, node, program, ...args]: readonly string[]): LaunchOrder {
  if (program === undefined || (mode !== 'become' && mode !== 'watch')) {
    throw new Error('this starts etcd, and is started by a node of a mesh')
  }
  return { node: Number(node), mode, program, args }
}

export function launchArgs({ mode, node, program, args }: LaunchOrder): readonly string[] {
  return [mode, String(node), program, ...args]
}

/** Becomes etcd; returns only where it watches it. */
export function launch(order: LaunchOrder): void {
  if (order.mode === 'become') become(order)
  watch(order)
}

/** Returns when that cannot be done here. */
function become({ node, program, args }: LaunchOrder): void {
  const calls = bindKoffi((koffi) => {
    const libc = koffi.load(null)
    return {
      prctl: libc.func(
        'int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)',
      ),
      execve: libc.func('int execve(const char *, const char **, const char **)'),
    }
  })
  if ('unavailable' in calls) return
  if (calls.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) !== 0) return
  // A node that died before that is no parent any more.
  if (process.ppid !== node) process.exit(1)
  calls.execve(program, [program, ...args, null], [null])
}

function watch({ program, args }: LaunchOrder): void {
  const child = spawn(program, args, { env: {}, stdio: ['ignore', 'inherit', 'inherit'] })
  const end = () => child.kill('SIGKILL')
  process.stdin.on('end', end).on('error', end).resume()
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('error', () => process.exit(1))
  child.on('exit', (code) => process.exit(code ?? 1))
}
