/**
 * @module An etcd whose node died, found by the node's next start. A pid says nothing by itself, for the
 * system gives it away again: a process is known by its pid, the time of its start and the boot of the
 * machine, all three.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { systemTime, type Time } from '../../metadata/log/etcd/time.ts'
import { ORPHAN_MS } from './limits.ts'
import { EtcdRefusedError } from './program.ts'

/** One process for ever. */
export interface ProcessMark {
  readonly pid: number
  /** Ticks of the kernel's clock since the boot. */
  readonly startTime: string
}

/** What `etcd.pid` says. */
export interface PidFile {
  /** Random, one a boot of the machine. */
  readonly boot: string
  readonly etcd: ProcessMark
  /** The node that started it. */
  readonly node: ProcessMark
}

export interface Processes {
  /** Undefined where the system does not say it. */
  boot(): string | undefined
  /** When the process started; undefined when there is none, or it has ended and is not waited for. */
  startTimeOf(pid: number): string | undefined
  kill(pid: number, signal: NodeJS.Signals): void
}

const FILE_BYTES_MAX = 4096

/** Those of `/proc`, which is Linux's: elsewhere nothing is known, and nothing is ever ended. */
export const systemProcesses: Processes = {
  boot: () => readOrNothing('/proc/sys/kernel/random/boot_id')?.trim(),
  startTimeOf(pid) {
    const text = readOrNothing(`/proc/${pid}/stat`)
    // The name of the program is in parentheses, and may have some itself.
    const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ') ?? []
    const [state] = fields
    return state === 'Z' || state === 'X' ? undefined : fields[19]
  },
  kill: (pid, signal) => process.kill(pid, signal),
}

/** Notes the process that was just started by this one. What cannot be known is not noted. */
export function writePidFile(path: string, pid: number, processes = systemProcesses): void {
  const boot = processes.boot()
  const [etcd, node] = [pid, process.pid].map((one) => ({
    pid: one,
    startTime: processes.startTimeOf(one),
  }))
  if (boot === undefined || etcd?.startTime === undefined || node?.startTime === undefined) return
  // The boot that it names ends with the power: nothing to flush.
  writeFileSync(`${path}.next`, JSON.stringify({ boot, etcd, node }), { mode: 0o600 })
  renameSync(`${path}.next`, path)
}

export function removePidFile(path: string): void {
  rmSync(path, { force: true })
}

/**
 * Ends the etcd of the file if it runs without its node. Resolves to whether there was one, when it is gone
 * and its ports are free. Rejects with EtcdRefusedError `running` when its node runs too, and is another
 * process than this one, or when it does not end in time.
 */
export async function endOrphan(
  path: string,
  { processes = systemProcesses, time = systemTime }: { processes?: Processes; time?: Time } = {},
): Promise<boolean> {
  const file = readPidFile(path)
  if (file === undefined || file.boot !== processes.boot()) return false
  const { etcd, node } = file
  const isThere = ({ pid, startTime }: ProcessMark) => processes.startTimeOf(pid) === startTime
  if (!isThere(etcd)) return false
  if (node.pid !== process.pid && isThere(node)) {
    throw new EtcdRefusedError(
      'running',
      `etcd (process ${etcd.pid}) is run by another node (process ${node.pid}): ${path}. ` +
        'Two nodes cannot share a folder: stop one of them, or give it a folder of its own.',
    )
  }
  // No turn of the loop between the look and the signal, which is for its group: it was started as the head
  // of one, and where a launcher watches, etcd is in it.
  processes.kill(-etcd.pid, 'SIGKILL')
  const end = time.monotonic() + ORPHAN_MS
  while (isThere(etcd)) {
    if (time.monotonic() >= end) {
      const why = `etcd (process ${etcd.pid}) of an earlier run does not end. End it, then start again.`
      throw new EtcdRefusedError('running', why)
    }
    await new Promise<void>((resolve) => time.after(20, resolve))
  }
  return true
}

/** Undefined for no file, and for one that was not written to its end. */
function readPidFile(path: string): PidFile | undefined {
  const text = readOrNothing(path)
  if (text === undefined || text.length > FILE_BYTES_MAX) return undefined
  try {
    const { boot, etcd, node } = JSON.parse(text) as Partial<PidFile>
    if (typeof boot !== 'string' || !isMark(etcd) || !isMark(node)) return undefined
    return { boot, etcd, node }
  } catch {
    return undefined
  }
}

function isMark(value: unknown): value is ProcessMark {
  if (typeof value !== 'object' || value === null) return false
  const { pid, startTime } = value as Partial<ProcessMark>
  // 0, 1 and negative numbers would be signals to others than one process of ours.
  return Number.isSafeInteger(pid) && Number(pid) > 1 && typeof startTime === 'string'
}

function readOrNothing(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
