/**
 * @module An etcd under the supervisor of a node, for tests: its folder, ports and log, and how it is
 * started, again or for the first time.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EtcdChild, type EtcdChildOptions } from '../../../src/mesh/etcd/child.ts'
import type { Beginning, EtcdMemberSettings, TlsFiles } from '../../../src/mesh/etcd/flags.ts'
import { EtcdMembers } from '../../../src/mesh/etcd/members.ts'
import { type EtcdProgram, findProgram } from '../../../src/mesh/etcd/program.ts'
import type { MeshMember } from '../../../src/mesh/etcd/steps.ts'
import { freePorts, PROGRAM } from './etcd.ts'

export const LAUNCHER = fileURLToPath(
  new URL('../../../dist/workers/etcd-launcher.js', import.meta.url),
)

/** The program that all of these tests run. */
export function etcdProgram(): Promise<EtcdProgram> {
  const binary = PROGRAM.includes('/') ? PROGRAM : ''
  return findProgram({ binary, path: process.env['PATH'] ?? '' })
}

export class EtcdNode {
  readonly settings: EtcdMemberSettings
  readonly members: EtcdMembers
  /** What it said at `warn` and above. */
  readonly said: string[] = []
  readonly #program: EtcdProgram
  child: EtcdChild | undefined

  private constructor(settings: EtcdMemberSettings, program: EtcdProgram) {
    this.settings = settings
    this.#program = program
    const { tls } = settings
    const read = ({ ca, cert, key }: TlsFiles) => ({
      ca: readFileSync(ca),
      cert: readFileSync(cert),
      key: readFileSync(key),
    })
    this.members = new EtcdMembers({
      endpoints: [this.endpoint],
      ...(tls === undefined ? {} : { tls: read(tls.client) }),
    })
  }

  static async make(some: Partial<EtcdMemberSettings> = {}): Promise<EtcdNode> {
    const [ports] = await freePorts(1)
    const scheme = some.tls === undefined ? 'http' : 'https'
    const folder = mkdtempSync(join(tmpdir(), 'fastregistry-node-'))
    const settings = {
      name: `node-${ports!.peer}`,
      folder: join(folder, 'etcd'),
      peerUrl: `${scheme}://127.0.0.1:${ports!.peer}`,
      clientUrl: `${scheme}://127.0.0.1:${ports!.client}`,
      // A third of the usual times: a test waits for elections.
      heartbeatMs: 40,
      ...some,
    }
    return new EtcdNode(settings, await etcdProgram())
  }

  get endpoint(): string {
    return new URL(this.settings.clientUrl).host
  }

  get mesh(): MeshMember {
    return { peerUrl: this.settings.peerUrl, isLeaving: false, isReady: true }
  }

  /** A supervisor of it; the one before has to be stopped or dead. */
  supervise(beginning: Beginning, some: Partial<EtcdChildOptions> = {}): EtcdChild {
    const say = (fields: object, message: string) => {
      this.said.push(`${message} ${JSON.stringify(fields)}`)
    }
    this.child = new EtcdChild({
      program: this.#program,
      settings: this.settings,
      beginning,
      isKnown: false,
      members: this.members,
      log: { debug: () => {}, warn: say, error: say },
      launcher: LAUNCHER,
      ...some,
    })
    return this.child
  }

  /** Founds an etcd, and resolves when it serves. */
  async found(): Promise<void> {
    const child = this.supervise({ kind: 'found', token: `test-${this.settings.name}` })
    await child.start()
    await child.serving()
  }

  /** Joins when the etcd of `members` lists it; false when it does not yet. */
  async tryJoin(members: Pick<EtcdMembers, 'list'>): Promise<boolean> {
    const listed = await members.list()
    if (!listed.some(({ peerUrls }) => peerUrls.includes(this.settings.peerUrl))) return false
    await this.supervise({ kind: 'join', listed }).start()
    return true
  }

  async end(): Promise<void> {
    await this.child?.stop()
    this.members.close()
    rmSync(join(this.settings.folder, '..'), { recursive: true, force: true })
  }
}
