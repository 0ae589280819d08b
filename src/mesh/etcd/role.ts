/**
 * @module The part that this node has in the etcd of the mesh: it starts its member when etcd lists it, begins
 * again when it was removed, knows where etcd is reached, and acts as the lead for all while it is that.
 */
import { systemTime, type Time } from '../../metadata/log/etcd/time.ts'
import { EtcdChild, type EtcdChildOptions } from './child.ts'
import type { Beginning, EtcdMemberSettings } from './flags.ts'
import { MemberFolder } from './folder.ts'
import type { LineLog } from './lines.ts'
import { type EtcdMembers, endpointOf } from './members.ts'
import type { ListedMember } from './messages.ts'
import { type EtcdProgram, EtcdRefusedError } from './program.ts'
import { SpaceWatch } from './space-watch.ts'
import type { MeshMember } from './steps.ts'
import { Voters } from './voters.ts'

/** Between two looks at the list of members, ms. */
const lookMs = 1_000

export interface EtcdRoleOptions {
  readonly program: EtcdProgram
  readonly settings: EtcdMemberSettings
  readonly members: EtcdMembers
  readonly log: LineLog
  /** The launcher, as a file that Node.js runs. */
  readonly launcher: string
  readonly time?: Time
  /** Whether this node changes roles for all. */
  readonly isLead: () => boolean
  /** The members of the mesh in the order of their numbers. */
  readonly mesh: () => readonly MeshMember[]
  /** Where etcd is reached, as `host:port`, when that has changed. */
  readonly onEndpoints: (endpoints: readonly string[]) => void
  /** Truncates the log as far as it may be. */
  readonly truncate: () => Promise<void>
}

export class EtcdRole {
  readonly #options: EtcdRoleOptions
  readonly #time: Time
  readonly #voters: Voters
  readonly #space: SpaceWatch
  #child: EtcdChild | undefined
  #endpoints = ''
  #voterUrls: ReadonlySet<string> = new Set()
  #stopTimer: (() => void) | undefined
  #looking: Promise<void> = Promise.resolve()
  #isStopped = false

  constructor(options: EtcdRoleOptions) {
    this.#options = options
    this.#time = options.time ?? systemTime
    this.#voters = new Voters({
      ...options,
      report: (step, error) => {
        if (step.kind === 'none') return
        const fields = { step: step.kind, ...(error !== undefined && { error: error.message }) }
        options.log.debug(fields, 'roles in etcd')
      },
    })
    const { settings } = options
    const quota = settings.quotaBytes === undefined ? {} : { quotaBytes: settings.quotaBytes }
    this.#space = new SpaceWatch({ ...options, ...quota })
  }

  /** Whether etcd takes no entries for want of room, as far as this node has looked. */
  get isFull(): boolean {
    return this.#space.isFull
  }

  /** Whether the member of this node runs and answers. */
  get state(): EtcdChild['state'] {
    return this.#child?.state ?? 'stopped'
  }

  /** URLs for peers of the members that vote, as they were listed last. */
  get voters(): ReadonlySet<string> {
    return this.#voterUrls
  }

  /** Founds an etcd, or goes on with what an earlier attempt has left. Resolves when it serves. */
  async found(token: string): Promise<void> {
    await this.#start({ kind: 'found', token })
    await this.#child!.serving()
  }

  /**
   * Goes on with the member of an earlier run, if there was one. Rejects with EtcdRefusedError where starting could
   * lose something.
   */
  async resume(hasMember: boolean): Promise<void> {
    if (hasMember) await this.#start({ kind: 'resume' })
  }

  /** From now on it looks at the list of members, again and again. */
  follow(): void {
    this.#voters.start()
    this.#space.start()
    this.#schedule(0)
  }

  /** The members of the mesh have changed. */
  hurry(): void {
    this.#voters.hurry()
  }

  /** Resolves when the process has ended and no change is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stopTimer?.()
    const { ended } = this.#space.stop()
    await this.#looking
    await this.#voters.stop()
    await this.#giveBack()
    await this.#child?.stop()
    this.#options.members.close()
    await ended
  }

  /**
   * Starts the member that etcd lists at this node's address. One that had served there before is another node's,
   * whose storage is gone: nothing of it comes back, so it gives way to a new one.
   */
  async #join(self: ListedMember, listed: readonly ListedMember[]): Promise<void> {
    try {
      await this.#start({ kind: 'join', listed })
    } catch (error) {
      this.#child = undefined
      const isOfBefore = self.name !== '' && (await this.#isEmpty())
      if (!(error instanceof EtcdRefusedError) || !isOfBefore) throw error
      await this.#options.members.remove(self.id)
      this.#options.log.warn({}, 'removed the member of etcd that was at this address before')
    }
  }

  async #isEmpty(): Promise<boolean> {
    const folder = new MemberFolder(this.#options.settings.folder)
    return (await folder.mark()) === undefined && !(await folder.hasData())
  }

  /**
   * Of two voters each is needed: one that stops while a third is still on its way would stop the log. So it goes
   * back to having no role, and gets one again later. Never rejects.
   */
  async #giveBack(): Promise<void> {
    const { members, settings } = this.#options
    if (this.#child?.state !== 'serving' || this.#voterUrls.size !== 2) return
    if (!this.#voterUrls.has(settings.peerUrl)) return
    try {
      const listed = await members.list()
      const voters = listed.filter(({ isLearner }) => !isLearner)
      const own = voters.find(({ peerUrls }) => peerUrls.includes(settings.peerUrl))
      if (own === undefined || voters.length !== 2) return
      await members.remove(own.id)
      await this.#child.forget()
      this.#child = undefined
    } catch (error) {
      this.#options.log.debug({ error: String(error) }, 'the role in etcd was not given back')
    }
  }

  #start(beginning: Beginning): Promise<void> {
    const { program, settings, members, log, launcher, time } = this.#options
    const options: EtcdChildOptions = {
      program,
      settings,
      members,
      log,
      launcher,
      beginning,
      isKnown: false,
    }
    this.#child = new EtcdChild(time === undefined ? options : { ...options, time })
    return this.#child.start()
  }

  #schedule(ms: number): void {
    if (this.#isStopped) return
    this.#stopTimer = this.#time.after(ms, () => {
      this.#looking = this.#look().then(() => this.#schedule(lookMs))
    })
  }

  /** Never rejects: the next look comes. */
  async #look(): Promise<void> {
    const { members, settings, log, onEndpoints } = this.#options
    try {
      if (this.#child?.state === 'removed') {
        await this.#child.forget()
        this.#child = undefined
      }
      const listed = await members.list()
      const voters = listed.filter(({ isLearner }) => !isLearner)
      this.#voterUrls = new Set(voters.flatMap(({ peerUrls }) => peerUrls))
      const endpoints = voters.flatMap(({ clientUrls }) => clientUrls.slice(0, 1).map(endpointOf))
      const said = [...endpoints].sort().join()
      if (endpoints.length > 0 && said !== this.#endpoints) {
        this.#endpoints = said
        members.use(endpoints)
        onEndpoints(endpoints)
      }
      const self = listed.find(({ peerUrls }) => peerUrls.includes(settings.peerUrl))
      if (self !== undefined && this.#child === undefined && !this.#isStopped) {
        await this.#join(self, listed)
      }
    } catch (error) {
      log.debug({ error: String(error) }, 'the roles in etcd could not be looked at')
    }
  }
}
