/**
 * @module The etcd of one node: a process of its own that is started, looked after, started again when it
 * dies, stopped in order, and never outlives its node.
 *
 *   stopped -> starting -> serving -> waiting -> starting ...
 *                                  -> removed (by the other members: nothing to start again)
 *
 * The process that is started asks the kernel for its end with the node and becomes etcd (worker/launch.ts);
 * a file with its pid and the time of its start serves the next run of the node, wherever that did not do.
 * Start it from the main thread: the kernel takes the end of the thread that started it for the node's.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { EtcdError } from '../../metadata/log/etcd/errors.ts'
import { systemTime, type Time } from '../../metadata/log/etcd/time.ts'
import { type Beginning, clientEndpointOf, type EtcdMemberSettings, flagsOf } from './flags.ts'
import { beginningOf, MemberFolder } from './folder.ts'
import { LOOK_MS, MOVE_MS, RESTART_MS_MAX, RESTART_MS_MIN, SOUND_MS, STOP_MS } from './limits.ts'
import { EtcdLines, type LineLog } from './lines.ts'
import { type EtcdMembers, endpointOf } from './members.ts'
import { endOrphan, removePidFile, writePidFile } from './orphan.ts'
import type { EtcdProgram } from './program.ts'
import { type LaunchOrder, launchArgs } from './worker/launch.ts'

export interface EtcdChildOptions {
  readonly program: EtcdProgram
  readonly settings: EtcdMemberSettings
  /** How it begins in an empty folder. */
  readonly beginning: Beginning
  /** Whether the node's own rows say that it has a role in this etcd. */
  readonly isKnown: boolean
  /** To look at this member, and to hand its leadership over; with the certificates of a client. */
  readonly members: Pick<EtcdMembers, 'status' | 'list' | 'moveLeader'>
  readonly log: LineLog
  /** The launcher, as a file that Node.js runs. */
  readonly launcher: string
  /** `watch` does without the kernel's help, as it is where there is none. Default `become`. */
  readonly mode?: LaunchOrder['mode']
  readonly time?: Time
}

const ENDED_ITSELF = 'code 0'

export type EtcdState = 'stopped' | 'starting' | 'serving' | 'waiting' | 'removed'

export class EtcdChild {
  readonly #options: EtcdChildOptions
  readonly #folder: MemberFolder
  readonly #endpoint: string
  readonly #time: Time
  readonly #waiters = new Set<() => void>()
  #beginning: Beginning
  #state: EtcdState = 'stopped'
  #child: ChildProcess | undefined
  #gone: Promise<void> | undefined
  #isStopping = false
  #restartMs = RESTART_MS_MIN
  #servesSince = 0
  #stopTimer: (() => void) | undefined

  constructor(options: EtcdChildOptions) {
    this.#options = options
    this.#folder = new MemberFolder(options.settings.folder)
    this.#endpoint = clientEndpointOf(options.settings)
    this.#time = options.time ?? systemTime
    this.#beginning = options.beginning
  }

  get state(): EtcdState {
    return this.#state
  }

  /** Of the process, while there is one. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /**
   * Resolves when the process runs, which is not yet serving: without a majority it never does, and the node
   * has to start all the same. Ends an orphan of an earlier run first. Rejects with EtcdRefusedError where
   * starting could lose something.
   */
  async start(): Promise<void> {
    const { settings, isKnown, beginning } = this.#options
    const { name, peerUrl } = settings
    if (await endOrphan(this.#folder.pidFile, { time: this.#time })) {
      this.#options.log.warn({}, 'ended the etcd of an earlier run, which had outlived its node')
    }
    removePidFile(this.#folder.pidFile)
    if ((await this.#folder.mark())?.state === 'removed') await this.#folder.clear()
    const mark = await this.#folder.mark()
    const hasData = await this.#folder.hasData()
    this.#beginning = beginningOf(settings, beginning, { mark, hasData, isKnown })
    if (mark === undefined) await this.#folder.setMark({ state: 'starting', name, peerUrl })
    await mkdir(this.#folder.dataDir, { recursive: true, mode: 0o700 })
    this.#spawn()
  }

  /** Resolves when the member serves; rejects with EtcdError `closed` when it is stopped or removed before. */
  async serving(): Promise<void> {
    while (this.#state !== 'serving') {
      if (this.#isStopping || this.#state === 'removed') {
        throw new EtcdError('closed', `this member of etcd is ${this.#state}`)
      }
      await new Promise<void>((resolve) => this.#waiters.add(resolve))
    }
  }

  /**
   * Hands the leadership over, asks the process to end, and ends it after STOP_MS. Resolves when it is gone.
   */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#stopTimer?.()
    if (this.#state === 'serving') await this.#handOver()
    const gone = this.#gone
    if (gone !== undefined) {
      this.#signal('SIGTERM')
      const stopTimer = this.#time.after(STOP_MS, () => this.#signal('SIGKILL'))
      await gone
      stopTimer()
    }
    this.#become('stopped')
  }

  /** Stops it, and forgets its data: for a member that etcd has removed. It can join again then. */
  async forget(): Promise<void> {
    await this.stop()
    await this.#folder.clear()
  }

  #spawn(): void {
    const { program, settings, launcher, mode = 'become', log } = this.#options
    const { dataDir, pidFile } = this.#folder
    const args = flagsOf(settings, this.#beginning, { dataDir, minor: program.minor })
    const order = { mode, node: process.pid, program: program.path, args }
    const lines = new EtcdLines(log, this.#time)
    // A group of its own: what is typed at the node's terminal is for the node, which stops etcd in order.
    const child = spawn(process.execPath, [launcher, ...launchArgs(order)], {
      cwd: this.#folder.path,
      detached: true,
      env: {},
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#child = child
    this.#become('starting')
    this.#gone = new Promise((resolve) => {
      let isOver = false
      const end = (why: string) => {
        if (isOver) return
        isOver = true
        this.#onEnd(lines, why)
        resolve()
      }
      child.on('error', (error) => end(error.message))
      // Not `exit`: what it said last is still to be read.
      child.on('close', (code, signal) => end(signal ?? `code ${code}`))
    })
    for (const output of [child.stdout, child.stderr]) {
      output.setEncoding('utf8').on('data', (text: string) => lines.push(text))
      output.on('error', () => {})
    }
    child.stdin.on('error', () => {})
    if (child.pid === undefined) return
    writePidFile(pidFile, child.pid)
    this.#look(child)
  }

  /** Looks at the process until it serves. */
  #look(child: ChildProcess): void {
    this.#stopTimer = this.#time.after(LOOK_MS, () => void this.#lookOnce(child))
  }

  /** Never rejects. */
  async #lookOnce(child: ChildProcess): Promise<void> {
    const serves = await this.#options.members.status(this.#endpoint).then(
      () => true,
      () => false,
    )
    if (this.#child !== child || this.#isStopping) return
    if (serves) await this.#onServing()
    else this.#look(child)
  }

  async #onServing(): Promise<void> {
    const { name, peerUrl } = this.#options.settings
    try {
      // From here on others count on the data.
      await this.#folder.setMark({ state: 'started', name, peerUrl })
    } catch (error) {
      this.#options.log.error({ error: String(error) }, 'cannot note that etcd was started')
      this.#signal('SIGKILL')
      return
    }
    this.#beginning = { kind: 'resume' }
    this.#servesSince = this.#time.monotonic()
    if (this.#child !== undefined && !this.#isStopping) this.#become('serving')
  }

  #onEnd(lines: EtcdLines, why: string): void {
    const { log } = this.#options
    const wasSound =
      this.#state === 'serving' && this.#time.monotonic() - this.#servesSince >= SOUND_MS
    this.#child = undefined
    this.#gone = undefined
    removePidFile(this.#folder.pidFile)
    if (this.#isStopping) return
    if (lines.isRemoved) {
      log.warn({}, 'this member of etcd was removed by the others')
      this.#become('removed')
      return
    }
    if (wasSound) this.#restartMs = RESTART_MS_MIN
    const ms = this.#restartMs
    this.#restartMs = Math.min(RESTART_MS_MAX, ms * 2)
    log.error({ why, said: lines.tail, restartMs: ms }, 'etcd has ended, and is started again')
    this.#become('waiting')
    // It ends in order without being asked when it was removed, and does not always say so.
    const again = why === ENDED_ITSELF ? () => void this.#spawnUnlessRemoved() : () => this.#spawn()
    this.#stopTimer = this.#time.after(ms, again)
  }

  /** Never rejects. What cannot be asked counts as still there. */
  async #spawnUnlessRemoved(): Promise<void> {
    const { members, settings, log } = this.#options
    const listed = await members.list().catch(() => undefined)
    if (this.#isStopping) return
    if (listed?.every(({ peerUrls }) => !peerUrls.includes(settings.peerUrl)) !== true) {
      this.#spawn()
      return
    }
    log.warn({}, 'this member of etcd is listed no longer')
    this.#become('removed')
  }

  /** Bounded, and a failure is none of the stop's: etcd tries the same when it ends. */
  async #handOver(): Promise<void> {
    const { members } = this.#options
    const tried = (async () => {
      const { leader, memberId } = await members.status(this.#endpoint)
      if (leader !== memberId) return
      for (const { id, isLearner, clientUrls } of await members.list()) {
        const [url] = clientUrls
        if (isLearner || id === memberId || url === undefined) continue
        const isUp = await members.status(endpointOf(url)).then(
          (status) => status.leader === memberId,
          () => false,
        )
        if (isUp) return await members.moveLeader(this.#endpoint, id)
      }
    })().catch((error: unknown) => {
      this.#options.log.debug({ error: String(error) }, 'the leadership of etcd was not moved')
    })
    let stopTimer = () => {}
    const bound = new Promise<void>((resolve) => {
      stopTimer = this.#time.after(MOVE_MS, resolve)
    })
    await Promise.race([tried, bound])
    stopTimer()
  }

  #signal(signal: NodeJS.Signals): void {
    const child = this.#child
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    // Where a launcher watches, its etcd is in its group.
    if (signal === 'SIGKILL') process.kill(-child.pid, signal)
    else child.kill(signal)
  }

  #become(state: EtcdState): void {
    this.#state = state
    for (const resolve of this.#waiters) resolve()
    this.#waiters.clear()
  }
}
