/**
 * @module A witness: a member of a mesh that votes in its etcd and does nothing else. It has no rows and no blobs, so
 * that of two nodes and a witness any one may go. It is asked for nothing but whether it is there.
 */

import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Config, MeshConfig } from '../../../config/config.ts'
import type { EtcdRole } from '../../../mesh/etcd/role.ts'
import { isRenewalDue } from '../../../mesh/identity/authority.ts'
import { IdentityFolder, type KeptIdentity } from '../../../mesh/identity/kept.ts'
import { MeshError } from '../../../mesh/identity/problem.ts'
import { metadataFolder } from '../../../metadata/lmdb/folder.ts'
import { viewFile } from '../../../metadata/lmdb/snapshot/format.ts'
import type { Logger } from '../../../observability/logger.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { loadLibc } from '../../../runtime/libc.ts'
import { lockStore, type StoreLock } from '../../../storage/lock.ts'
import { etcdFolder, hadMember, makeEtcdRole } from '../etcd.ts'
import { type OwnKeys, ownKeys } from '../identity.ts'
import { Listening } from '../listening.ts'
import { WitnessHealth } from './health.ts'
import { joinAsWitness } from './join.ts'

/** Between two looks at the certificate, and at whether the mesh still has this member, ms. */
const lookEveryMs = 60_000

export class Witness {
  /** Resolves with what the operator can do, when the mesh has removed this member; never otherwise. */
  readonly ended: Promise<string>
  readonly #config: Config
  readonly #mesh: MeshConfig
  readonly #logger: Logger
  readonly #folder: IdentityFolder
  readonly #closing = new AbortController()
  #end!: (message: string) => void
  #keys: OwnKeys | undefined
  #listening: Listening | undefined
  #role: EtcdRole | undefined
  #identity: KeptIdentity | undefined
  #timer: NodeJS.Timeout | undefined
  #isLooking = false
  #lock: StoreLock | undefined
  #health: WitnessHealth | undefined

  /** Throws an Error for a configuration in which there is nothing to vote about. */
  constructor(config: Config, logger: Logger) {
    const { mesh } = config
    if (mesh === undefined) throw new Error('a witness needs mesh.enabled: true')
    if (mesh.log.endpoints.length > 0) {
      throw new Error('with mesh.log.endpoints the nodes run no etcd: there is nothing to vote in')
    }
    if (mesh.peers.length === 0) throw new Error('a witness needs the nodes in mesh.peers')
    if (existsSync(join(metadataFolder(config.storage.path), viewFile))) {
      throw new Error(
        'storage.path is the store of a registry; give the witness a folder of its own',
      )
    }
    this.#config = config
    this.#mesh = mesh
    this.#logger = logger
    this.#folder = new IdentityFolder(join(config.storage.path, 'mesh'))
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  /** Resolves when it is a member and looks after its etcd. It waits for the nodes for as long as it takes. */
  async start(): Promise<void> {
    const { path } = this.#config.storage
    await mkdir(path, { recursive: true, mode: 0o750 })
    const loaded = loadLibc()
    this.#lock = lockStore(path, 'unavailable' in loaded ? undefined : loaded)
    const { witnessAddr } = this.#mesh
    if (witnessAddr !== undefined) {
      // Before it is a member: it waits for the nodes, and lives.
      const isServing = () => this.#role?.state === 'serving'
      this.#health = await WitnessHealth.listen(witnessAddr, isServing)
    }
    const keys = await ownKeys(this.#mesh, this.#folder)
    this.#keys = keys
    const kept = await this.#folder.identity()
    const { bind } = this.#mesh
    const logger = this.#logger
    const isWitness = true
    const of = { bind, ...keys.key, identity: kept, isWitness, logger }
    const listening = await Listening.open(of)
    this.#listening = listening
    const identity = kept ?? (await this.#join())
    listening.become(identity)
    this.#identity = identity
    const folder = etcdFolder(this.#config, identity)
    const { member, advertise, endpoints } = identity
    const own = { member, advertise, bind, folder, files: this.#folder.files }
    this.#role = await makeEtcdRole(this.#mesh, own, endpoints, {
      // It has no rows to act by.
      isLead: () => false,
      mesh: () => [],
      truncate: async () => undefined,
      onEndpoints: (now) => void this.#keep({ ...this.#identity!, endpoints: [...now] }),
      logger,
    })
    await this.#role.resume(await hadMember(folder))
    this.#role.follow()
    this.#timer = setInterval(() => void this.#look(), lookEveryMs)
    logger.info({ event: 'mesh', cluster: identity.cluster, member }, 'a witness of the mesh')
  }

  async stop(): Promise<void> {
    this.#closing.abort()
    clearInterval(this.#timer)
    await this.#role?.stop()
    await this.#listening?.close()
    await this.#health?.close()
    this.#lock?.release()
  }

  async #join(): Promise<KeptIdentity> {
    const identity = await joinAsWitness({
      ...this.#keys!,
      mesh: this.#mesh,
      cluster: this.#identity?.cluster,
      pause: (ms) => pause(ms, undefined, { signal: this.#closing.signal }),
      warn: (message) => this.#logger.warn({ event: 'mesh' }, message),
    })
    await this.#folder.setIdentity(identity)
    return identity
  }

  /** Asks again as a node that joins: the answer is its certificate, or that it was removed. Never rejects. */
  async #look(): Promise<void> {
    const { certificate } = this.#identity!
    const isWell = this.#role!.state === 'serving' && !isRenewalDue(certificate, systemClock.now())
    // A look takes as long as no node answers.
    if (isWell || this.#isLooking) return
    this.#isLooking = true
    try {
      const next = await this.#join()
      this.#listening!.become(next)
      this.#identity = next
    } catch (error) {
      if (this.#closing.signal.aborted) return
      if (error instanceof MeshError) this.#end(error.message)
      else this.#logger.error({ event: 'mesh', error }, 'the witness cannot look after itself')
    } finally {
      this.#isLooking = false
    }
  }

  /** Never rejects. */
  async #keep(identity: KeptIdentity): Promise<void> {
    this.#identity = identity
    try {
      await this.#folder.setIdentity(identity)
    } catch (error) {
      this.#logger.error({ event: 'mesh', error }, 'the endpoints of etcd could not be kept')
    }
  }
}
