/**
 * @module A node of a mesh from its start to its end: it finds or founds the mesh, is reached by its peers, runs its
 * part of etcd, and says how the rows of the store are those of the mesh.
 */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Config, MeshConfig } from '../../config/config.ts'
import { IdentityFolder, type KeptIdentity } from '../../mesh/identity/kept.ts'
import { Statements } from '../../mesh/membership/statements.ts'
import type { Peers } from '../../mesh/peers/peers.ts'
import type { ServingSet } from '../../mesh/serving.ts'
import type { Control, SeenEntry } from '../../metadata/entry.ts'
import type { RunOfLog } from '../../metadata/lmdb/log-commits.ts'
import type { LogFault, LogSettings } from '../../metadata/lmdb/worker/messages.ts'
import { systemTime } from '../../metadata/log/etcd/time.ts'
import type { MemberState } from '../../metadata/rows/mesh.ts'
import type { Logger } from '../../observability/logger.ts'
import type { MeshOfStore, Storage } from '../../storage/open.ts'
import { enterMesh } from './enter.ts'
import { etcdEndpoint, etcdFolder, hadMember, makeEtcdRole, readTlsFiles } from './etcd.ts'
import { accountOf } from './faults.ts'
import { Gate } from './gate.ts'
import { type OwnKeys, ownKeys, sealsOf } from './identity.ts'
import { Leaving } from './leaving.ts'
import { Listening } from './listening.ts'
import { type OverviewParts, votersAmong } from './overview.ts'
import { Upkeep } from './upkeep.ts'
import { tailOf, takeView, type ViewParts } from './view.ts'

/** Controls behind which members are others, or others take part. */
const changesMembers: ReadonlySet<Control['control']> = new Set([
  'member',
  'state',
  'present',
  'absent',
])

/** What makes a registry a node of a mesh. */
export interface MeshNode extends MeshOfStore {
  readonly peers: Peers
  /** Bytes of copies that were fetched for pulls. Default: a tenth of the disk. */
  readonly cacheBytesMax?: number
  /** How it answers reads. Default: it says nothing of its health, and refuses what may be old. */
  readonly gate?: Pick<Gate, 'checks' | 'stale'>
  /** How many copies a push waits for. Default: as the configuration says. */
  readonly pushes?: Pick<Partial<MeshConfig>, 'writeCopies' | 'degradedWrites'> & {
    /** See `PushRules`. */
    readonly shortMs?: number
  }
  /** Bytes a second, where the configuration says nothing of a mesh. */
  readonly rebalanceRate?: number
}

/** Why a node does not go on, and whether it is to be started again. */
export interface MeshEnd {
  /** `left`: it was asked to leave, and has. */
  readonly is: 'failed' | 'again' | 'left'
  /** What the operator can do, or why it starts again. */
  readonly message: string
}

export class MeshRun {
  /** Resolves when this node cannot go on as it is; never otherwise. */
  readonly ended: Promise<MeshEnd>
  readonly #config: Config
  readonly #mesh: MeshConfig
  readonly #logger: Logger
  readonly #folder: IdentityFolder
  readonly #closing = new AbortController()
  #end!: (end: MeshEnd) => void
  #keys: OwnKeys | undefined
  #listening: Listening | undefined
  #role: Awaited<ReturnType<typeof makeEtcdRole>> | undefined
  #identity: KeptIdentity | undefined
  #endpoints: readonly string[] = []
  #run: RunOfLog | undefined
  #statements: Statements | undefined
  #upkeep: Upkeep | undefined
  #care: OverviewParts['care'] | undefined
  #leaving: Leaving | undefined
  #isTakingView = false
  readonly #gate: Gate
  readonly #faults = new Map<LogFault['is'], number>()

  /** `signal`: the start is given up. */
  constructor(config: Config, mesh: MeshConfig, logger: Logger, signal?: AbortSignal) {
    signal?.addEventListener('abort', () => this.#closing.abort(), { once: true })
    if (signal?.aborted === true) this.#closing.abort()
    this.#config = config
    this.#mesh = mesh
    this.#gate = new Gate(mesh, config.storage.reserveMb * 1024 * 1024)
    this.#logger = logger
    this.#folder = new IdentityFolder(join(config.storage.path, 'mesh'))
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  /**
   * Resolves when this node is a member and has a view, or takes one in at the opening of the store, whose lock the
   * caller holds. It waits for the others for as long as it takes. Rejects with what the operator can do.
   */
  async open(): Promise<MeshNode> {
    const keys = await ownKeys(this.#mesh, this.#folder)
    this.#keys = keys
    const kept = await this.#folder.identity()
    const { bind } = this.#mesh
    const logger = this.#logger
    const listening = await Listening.open({ bind, ...keys.key, identity: kept, logger })
    this.#listening = listening
    const known = kept?.hasView === true ? kept : undefined
    const identity = known ?? (await this.#enter(keys, listening))
    this.#become(identity)
    if (this.#role === undefined) await this.#startRole(identity)
    const { member, cluster, log } = identity
    this.#statements = new Statements(member, systemTime)
    const { tls } = await this.#logOptions()
    this.#endpoints = this.#isOwnEtcd ? identity.endpoints : this.#mesh.log.endpoints
    const { compact, keepBytes, tailBytes } = this.#mesh.log
    const settings = { endpoints: [...this.#endpoints], cluster, identity: log, compact }
    return {
      member,
      kept: { keepBytes, tailBytes },
      log: tls === undefined ? settings : { ...settings, tls },
      peers: listening.peers,
      gate: this.#gate,
      startGate: (run) => this.#startGate(run, member),
      onFault: (fault) => this.#onFault(fault),
      onSeen: (entries) => this.#onSeen(entries),
      readTail: tailOf(listening.peers, this.#logger),
    }
  }

  /** The store is open: peers are answered from it from now on. */
  async attach({ metadata, writer }: Storage, care: OverviewParts['care']): Promise<void> {
    this.#gate.setRoom(writer.room)
    this.#care = care
    this.#leaving = this.#makeLeaving(care)
    const { path, reserveMb } = this.#config.storage
    const upkeep = new Upkeep({
      metadata,
      storagePath: path,
      reserveBytes: reserveMb * 1024 * 1024,
      listening: this.#listening!,
      folder: this.#folder,
      ...this.#keys!,
      rebalanceAfterMs: this.#mesh.rebalanceAfterMs,
      statements: this.#statements!,
      logger: this.#logger,
      identity: () => this.#identity!,
      setIdentity: (identity) => this.#setIdentity(identity),
      run: () => this.#run,
    })
    this.#upkeep = upkeep
    await upkeep.start()
    this.#role?.follow()
    if (await this.#folder.isLeaving()) this.#leaving.goOn().catch(() => undefined)
  }

  /** Opens the rows of secrets. From `open` on. */
  get seals() {
    return sealsOf(this.#keys!.secrets, this.#identity!.cluster)
  }

  /** Name of the mesh; undefined: it was not found yet. */
  get cluster(): string | undefined {
    return this.#identity?.cluster
  }

  /** What is reported of the mesh, from the opening of the store on. */
  overview(metadata: Storage['metadata']): OverviewParts {
    const role = () => this.#role
    return {
      metadata,
      identity: () => this.#identity!,
      peers: this.#listening!.peers,
      set: () => this.#gate.set,
      etcd: role,
      faults: this.#faults,
      staleReads: () => this.#gate.stale?.count ?? 0,
      care: this.#care!,
      leaving: () => this.#leaving?.step,
    }
  }

  /** Says in the log what a member is from now on. False: there is none, or it has left. */
  readonly setState = async (member: number, state: MemberState): Promise<boolean> => {
    return await this.#statements!.say({ control: 'state', member, state })
  }

  /** Begins to leave. Rejects with why it cannot. */
  readonly leave = async (): Promise<void> => {
    await this.#leaving!.begin()
  }

  /** To be called before the store is closed: nothing reads it for the mesh any more. */
  async detach(): Promise<void> {
    const upkeep = this.#upkeep
    this.#upkeep = undefined
    await upkeep?.close()
  }

  /** Called when the store is closed: the run has left the mesh in order, and its last words are in the log. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#role?.stop()
    await this.#listening?.close()
  }

  get #isOwnEtcd(): boolean {
    return this.#mesh.log.endpoints.length === 0
  }

  async #enter(keys: OwnKeys, listening: Listening): Promise<KeptIdentity> {
    const { identity, from } = await enterMesh({
      ...keys,
      config: this.#mesh,
      storagePath: this.#config.storage.path,
      folder: this.#folder,
      listening,
      logger: this.#logger,
      foundEtcd: async (advertise, token) => {
        const endpoints = [etcdEndpoint(advertise)]
        await this.#makeRole({ member: 1, advertise, endpoints, cluster: token })
        await this.#role!.found(token)
      },
      logOptions: () => this.#logOptions(),
      pause: (ms) => this.#pause(ms),
    })
    if (from === undefined) return identity
    listening.become(identity)
    await this.#takeView(identity, () => [from])
    const whole = { ...identity, hasView: true }
    await this.#folder.setIdentity(whole)
    return whole
  }

  #become(identity: KeptIdentity): void {
    this.#identity = identity
    this.#listening!.become(identity)
  }

  /** Before the store is opened: a majority of etcd may need this member to answer at all. */
  async #startRole(identity: KeptIdentity): Promise<void> {
    if (!this.#isOwnEtcd) return
    await this.#makeRole(identity)
    const had = await hadMember(etcdFolder(this.#config, identity))
    this.#gate.setEtcd(() => this.#role?.state, had)
    await this.#role!.resume(had)
  }

  async #makeRole(
    of: Pick<KeptIdentity, 'advertise' | 'cluster' | 'endpoints' | 'member'>,
  ): Promise<void> {
    const { member, advertise, endpoints } = of
    const own = {
      member,
      advertise,
      bind: this.#mesh.bind,
      folder: etcdFolder(this.#config, of),
      files: this.#folder.files,
    }
    this.#role = await makeEtcdRole(this.#mesh, own, endpoints, {
      isLead: () => this.#upkeep?.isLead() === true,
      mesh: () => this.#upkeep?.etcdMembers() ?? [],
      onEndpoints: (now) => this.#onEndpoints(now),
      truncate: async () => this.#upkeep?.truncate(),
      logger: this.#logger,
    })
  }

  async #logOptions(): Promise<Pick<LogSettings, 'tls'>> {
    const files = this.#isOwnEtcd ? this.#folder.files : this.#mesh.log.tls
    const tls = await readTlsFiles(files)
    return tls === undefined ? {} : { tls }
  }

  #takeView(identity: KeptIdentity, peers: ViewParts['peers']): Promise<void> {
    const { path, reserveMb } = this.#config.storage
    return takeView({
      storagePath: path,
      cluster: identity.cluster,
      reserveBytes: reserveMb * 1024 * 1024,
      peers,
      logger: this.#logger,
      pause: (ms) => this.#pause(ms),
      credentials: () => this.#listening!.credentials,
      log: () => identity.log,
      time: systemTime,
    })
  }

  #startGate(run: RunOfLog, member: number): ServingSet {
    const set = this.#gate.start(run, member, this.#listening!.peers.links)
    this.#run = run
    this.#statements?.setRun(run)
    run.addEndpoints(this.#endpoints)
    return set
  }

  #onSeen(entries: readonly SeenEntry[]): void {
    this.#statements?.onSeen(entries)
    const isOfMembers = entries.some(({ controls }) =>
      controls.some(({ control }) => changesMembers.has(control)),
    )
    if (!isOfMembers) return
    this.#upkeep?.refreshMembers()
    this.#role?.hurry()
  }

  #onEndpoints(endpoints: readonly string[]): void {
    this.#endpoints = endpoints
    this.#run?.addEndpoints(endpoints)
    this.#setIdentity({ ...this.#identity!, endpoints: [...endpoints] }).catch((error: unknown) => {
      this.#logger.error({ event: 'mesh', error }, 'the endpoints of etcd could not be kept')
    })
  }

  /** On the disk when it resolves. */
  async #setIdentity(identity: KeptIdentity): Promise<void> {
    // At once: what changes next begins with it.
    this.#become(identity)
    await this.#folder.setIdentity(identity)
  }

  #makeLeaving(care: OverviewParts['care']): Leaving {
    const { peers } = this.#listening!
    const { member } = this.#identity!
    return new Leaving({
      ...{ member, care, setState: this.setState },
      keep: (isLeaving) => this.#folder.setLeaving(isLeaving),
      members: () => peers.members,
      reached: () => peers.links.open,
      voters: () => this.#role && votersAmong(peers.members, this.#role.voters),
      pause: (ms) => this.#pause(ms),
      onStep: (step) => this.#logger.info({ event: 'mesh', step }, 'this node leaves the mesh'),
      onError: (error) => {
        if (this.#closing.signal.aborted) return
        this.#logger.error({ event: 'mesh', error }, 'this node does not leave the mesh')
      },
      onLeft: () => this.#end({ is: 'left', message: 'this node has left the mesh' }),
    })
  }

  #onFault(fault: LogFault): void {
    // What it says from then on is void, as it has said itself.
    if (fault.is === 'refused' && this.#leaving?.step === 'left') return
    const { message, level, end } = accountOf(fault)
    this.#faults.set(fault.is, (this.#faults.get(fault.is) ?? 0) + 1)
    this.#logger[level]({ event: 'mesh', fault: fault.is }, message)
    if (end === 'failed') this.#end({ is: 'failed', message })
    if (end === 'view') void this.#startAgainFromPeer(message)
  }

  async #startAgainFromPeer(why: string): Promise<void> {
    if (this.#isTakingView) return
    this.#isTakingView = true
    const { peers } = this.#listening!
    const others = () =>
      peers.members
        .filter(({ number }) => number !== peers.member)
        .map(({ number, address }) => ({ member: number, address }))
    try {
      await this.#takeView(this.#identity!, others)
      this.#end({ is: 'again', message: why })
    } catch (error) {
      if (this.#closing.signal.aborted) return
      this.#end({ is: 'failed', message: error instanceof Error ? error.message : String(error) })
    }
  }

  /** Rejects when the node is closed. */
  async #pause(ms: number): Promise<void> {
    await pause(ms, undefined, { signal: this.#closing.signal })
  }
}
