/**
 * @module What a running node does beside its requests: it knows who the members are, lets the log forget what all
 * have while it is the lead, and renews its certificate.
 */
import type { MeshMember as EtcdMeshMember } from '../../mesh/etcd/steps.ts'
import { isRenewalDue, type MemberKey } from '../../mesh/identity/authority.ts'
import type { IdentityFolder, KeptIdentity } from '../../mesh/identity/kept.ts'
import type { MeshSecrets } from '../../mesh/identity/secret.ts'
import { LevelWatch, levelOfRows } from '../../mesh/level-watch.ts'
import { Away } from '../../mesh/membership/away.ts'
import { etcdPeerUrl } from '../../mesh/membership/own-address.ts'
import { allMembers, isPresent, leadOf, leastDurable } from '../../mesh/membership/roster.ts'
import { SaidOnce } from '../../mesh/membership/said-once.ts'
import type { Statements } from '../../mesh/membership/statements.ts'
import type { RunOfLog } from '../../metadata/lmdb/log-commits.ts'
import type { Logger } from '../../observability/logger.ts'
import { systemClock } from '../../runtime/clock.ts'
import { systemRandom } from '../../runtime/random.ts'
import type { Storage } from '../../storage/open.ts'
import { answerPeers } from './answers.ts'
import { hostOf } from './etcd.ts'
import { authorityOf, sealsOf } from './identity.ts'
import type { Listening } from './listening.ts'
import { SharedSecrets } from './shared-secrets.ts'

/** Between two truncations of the log, ms. */
const truncateEveryMs = 10_000
/** Between two looks at who is away, ms. */
const lookEveryMs = 2_000
/** Between two looks at the certificate of this node, ms. */
const renewEveryMs = 3_600_000

export interface UpkeepParts {
  readonly metadata: Storage['metadata']
  readonly storagePath: string
  /** Bytes that stay free. */
  readonly reserveBytes: number
  readonly listening: Listening
  readonly folder: IdentityFolder
  readonly key: MemberKey
  readonly secrets: MeshSecrets
  /** When others get what a member that is away had, ms. */
  readonly rebalanceAfterMs: number
  readonly statements: Statements
  readonly logger: Logger
  /** As it is now: the endpoints change. */
  readonly identity: () => KeptIdentity
  /** Another certificate, on the disk when it resolves. */
  readonly setIdentity: (identity: KeptIdentity) => Promise<void>
  /** Undefined: the writer is not up yet. */
  readonly run: () => RunOfLog | undefined
}

export class Upkeep {
  readonly #parts: UpkeepParts
  readonly #shared: SharedSecrets
  readonly #away: Away
  readonly #said = new SaidOnce()
  readonly #level = new LevelWatch()
  readonly #timers: NodeJS.Timeout[] = []

  constructor(parts: UpkeepParts) {
    this.#parts = parts
    const { secrets, identity } = parts
    const seals = sealsOf(secrets, identity().cluster)
    this.#shared = new SharedSecrets({ ...parts, seals })
    this.#away = new Away(parts.rebalanceAfterMs)
  }

  /**
   * Answers peers, and begins what is done again and again. Resolves when the files of secrets are those of the mesh.
   * Rejects with a MeshError 'sealed' when the secret does not open them.
   */
  async start(): Promise<void> {
    const { listening, secrets, statements, metadata, identity } = this.#parts
    await this.#shared.start()
    this.refreshMembers()
    answerPeers({
      ...this.#parts,
      listening,
      secrets,
      identity: identity(),
      members: () => allMembers(metadata),
      level: () => levelOfRows(metadata),
      say: (control) => statements.say(control),
      authority: () => this.#authority(),
      endpoints: () => identity().endpoints,
    })
    this.#timers.push(
      setInterval(() => this.truncate(), truncateEveryMs),
      setInterval(() => this.#putOut(), lookEveryMs),
      setInterval(() => this.#raise(), lookEveryMs),
      setInterval(() => void this.#renew(), renewEveryMs),
    )
    void this.#renew()
  }

  /** Rows of members may have changed. */
  refreshMembers(): void {
    this.#parts.listening.peers.setMembers(allMembers(this.#parts.metadata))
  }

  /** Whether this node acts for all: for what does no harm when two do it. */
  isLead(): boolean {
    return leadOf(this.#parts.metadata) === this.#parts.identity().member
  }

  /** The members that may have a role in etcd, by number. */
  etcdMembers(): readonly EtcdMeshMember[] {
    const { metadata, listening } = this.#parts
    const { links } = listening.peers
    return allMembers(metadata)
      .filter(({ state }) => state !== 'left')
      .map(({ number, address, state }) => ({
        peerUrl: etcdPeerUrl(address),
        isLeaving: state === 'draining',
        // One that only votes says nothing in the log.
        isReady: state === 'witness' ? links.open.includes(number) : isPresent(metadata, number),
      }))
  }

  /** To be called before the store is closed. */
  async close(): Promise<void> {
    await this.#shared.close()
    for (const timer of this.#timers) clearInterval(timer)
  }

  #authority() {
    const { metadata, secrets, identity } = this.#parts
    const { cluster, authority } = identity()
    const parts = { clock: systemClock, random: systemRandom }
    return authorityOf(metadata, sealsOf(secrets, cluster), authority, parts)
  }

  /** A member that was away for too long owns nothing until it is back. */
  #putOut(): void {
    const { metadata, statements, logger, run } = this.#parts
    if (!this.isLead()) return this.#away.forget()
    const here = (member: number) => isPresent(metadata, member)
    const away = this.#away.look(allMembers(metadata), here, systemClock.monotonic())
    for (const member of this.#said.take(away, run()?.boot ?? 0)) {
      statements.say({ control: 'state', member, state: 'out' }).then(
        (isOut) => {
          if (isOut)
            logger.warn({ event: 'mesh', member }, 'a node was away for long; others get its blobs')
        },
        () => undefined,
      )
    }
  }

  /** Newer rules are in force when all nodes have known them for a while: there is no way back then. */
  #raise(): void {
    const { metadata, statements, logger } = this.#parts
    if (!this.isLead()) return this.#level.forget()
    const level = this.#level.look(metadata, systemClock.monotonic())
    if (level === undefined) return
    // Said anew after a while, should the log not have taken it.
    this.#level.forget()
    statements.say({ control: 'raise', level }).then(
      (isRaised) => {
        if (isRaised) logger.info({ event: 'mesh', level }, 'the mesh goes by newer rules')
      },
      () => undefined,
    )
  }

  /** Lets the log forget what all have, when this node acts for all. */
  truncate(): void {
    const { metadata, run } = this.#parts
    if (this.isLead()) run()?.truncate(leastDurable(metadata))
  }

  /** Never rejects: the next hour comes, and there are a thousand of them before it ends. */
  async #renew(): Promise<void> {
    const { identity, setIdentity, key, logger } = this.#parts
    const now = identity()
    if (!isRenewalDue(now.certificate, systemClock.now())) return
    try {
      const hosts = [hostOf(now.advertise)]
      const certificate = await this.#authority().issue(now.member, key.publicKey, hosts)
      await setIdentity({ ...identity(), certificate })
      logger.info({ event: 'mesh' }, 'renewed the certificate of this node')
    } catch (error) {
      logger.error({ event: 'mesh', error }, 'the certificate of this node cannot be renewed')
    }
  }
}
