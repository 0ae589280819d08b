/**
 * @module Where a node is reached by its peers, from before it is a member: until then all that it answers is that it
 * is none.
 */
import { formatAddress } from '../../config/address.ts'
import type { MeshConfig } from '../../config/config.ts'
import { Authority } from '../../mesh/identity/authority.ts'
import type { KeptIdentity } from '../../mesh/identity/kept.ts'
import { MeshError } from '../../mesh/identity/problem.ts'
import type { Credentials } from '../../mesh/peers/credentials.ts'
import { PeerListener, type PeerRoute } from '../../mesh/peers/listener.ts'
import { paths } from '../../mesh/peers/messages.ts'
import { Peers } from '../../mesh/peers/peers.ts'
import { systemTime } from '../../metadata/log/etcd/time.ts'
import type { Logger } from '../../observability/logger.ts'
import { systemClock } from '../../runtime/clock.ts'
import { systemRandom } from '../../runtime/random.ts'

export interface ListeningOptions {
  readonly bind: MeshConfig['bind']
  readonly privateKey: string
  readonly publicKey: Buffer
  /** Undefined: it is no member yet. */
  readonly identity: KeptIdentity | undefined
  /** Whether it knows no members, and takes all that have a certificate of the mesh for some. Default: no. */
  readonly isWitness?: boolean
  readonly logger: Logger
}

export class Listening {
  readonly peers: Peers
  readonly #options: ListeningOptions
  #credentials: Credentials
  #log: string | undefined
  #listener: PeerListener | undefined
  #join: PeerRoute | undefined
  /** By member: whether the stream to it was open when it was told last. */
  readonly #isOpen = new Map<number, boolean>()

  private constructor(options: ListeningOptions, credentials: Credentials) {
    this.#options = options
    this.#credentials = credentials
    this.#log = options.identity?.log
    const parts = { log: () => this.#log, time: systemTime, random: systemRandom }
    this.peers = new Peers({
      ...parts,
      hearsAll: options.isWitness === true,
      credentials: () => this.#credentials,
      onLink: (member, error) => this.#onLink(member, error),
    })
    this.peers.addRoute(paths.join, {
      method: 'POST',
      isOpen: true,
      answer: (call) => {
        if (this.#join === undefined) throw new MeshError('busy', 'the node is starting')
        return this.#join.answer(call)
      },
    })
  }

  /** Resolves when it listens. Rejects with what the system says of the address. */
  static async open(options: ListeningOptions): Promise<Listening> {
    const { identity, privateKey, publicKey, bind, logger } = options
    const credentials =
      identity === undefined
        ? await credentialsOfNone(privateKey, publicKey)
        : credentialsOf(identity, privateKey)
    const listening = new Listening(options, credentials)
    listening.#listener = await PeerListener.listen(
      {
        credentials,
        routes: listening.peers.routes,
        log: () => listening.#log,
        admits: (member) => listening.#admits(member),
        time: systemTime,
        onFault: (error) => logger.error({ event: 'mesh', error }, 'a peer could not be answered'),
      },
      bind.host === '' ? { port: bind.port } : bind,
    ).catch((error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'is in use by another process' : error.message
      throw new Error(`mesh.bind: ${formatAddress(bind)} ${reason}`, { cause: error })
    })
    return listening
  }

  get credentials(): Credentials {
    return this.#credentials
  }

  /** From now on it is this member, or has this certificate. */
  become(identity: KeptIdentity): void {
    this.#credentials = credentialsOf(identity, this.#options.privateKey)
    this.#log = identity.log
    this.#listener?.renew(this.#credentials)
  }

  /** How joins are answered from now on. */
  setJoin(route: PeerRoute): void {
    this.#join = route
  }

  async close(): Promise<void> {
    this.peers.close()
    await this.#listener?.close()
  }

  /** Throws a MeshError 'busy' before the rows of members can be read. */
  #admits(member: number): boolean {
    const { peers } = this
    if (this.#options.isWitness === true) return true
    if (peers.members.length === 0) throw new MeshError('busy', 'the node is starting')
    return peers.admits(member)
  }

  /** Each attempt is one at a peer that is away: only the first is told. */
  #onLink(member: number, error: MeshError | undefined): void {
    const { logger } = this.#options
    const isOpen = error === undefined
    const level = this.#isOpen.get(member) === isOpen ? 'debug' : isOpen ? 'info' : 'warn'
    this.#isOpen.set(member, isOpen)
    const message = isOpen ? 'a peer is reached' : 'a peer is not reached; tried again'
    logger[level]({ event: 'mesh', member, ...(error && { error: error.message }) }, message)
  }
}

function credentialsOf(identity: KeptIdentity, privateKey: string): Credentials {
  const { cluster, member, authority, certificate } = identity
  return { cluster, member, authority, certificate, privateKey }
}

/** Of an authority that signs nothing else: the proofs of a join say who is at the other end. */
async function credentialsOfNone(privateKey: string, publicKey: Buffer): Promise<Credentials> {
  const parts = { clock: systemClock, random: systemRandom }
  const authority = await Authority.found('none', parts)
  const certificate = await authority.issue(1, publicKey)
  return {
    cluster: 'none',
    member: 1,
    authority: authority.certificate,
    certificate,
    privateKey,
  }
}
