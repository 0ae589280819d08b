/**
 * @module Clients of a mesh that go on while its nodes are killed, paused, added and removed: they move tags, read
 * them, push blobs and pull them, each time through another node. What they did to tags is a history for
 * `linearizable.ts`; what no client may hear is written down.
 */
import { digestOf } from '../../../src/registry/hasher.ts'
import {
  type Answer,
  type Descriptor,
  expectStatus,
  imageManifest,
  type RequestOptions,
  sha256,
  someBytes,
} from '../registry-client.ts'
import { type MeshProcess, poll } from './nodes.ts'
import { HistoryRecorder } from './register-history.ts'
import { SeededRandom } from './seeded-random.ts'

/** Above the limit below which blobs are rows. */
const blobBytes = 40_000
/** What a client waits for an answer at most, ms: longer than any bound of a node. */
const answerMs = 20_000
/** Between two requests of one client, ms. */
const pauseMs = 15
const tagCount = 4

/** `refused`: the connection was; `broken`: it ended before the answer did. */
type Heard = Answer | 'refused' | 'broken'

export class NodeLoad {
  readonly repository = 'team/app'
  readonly seed: number
  readonly history = new HistoryRecorder()
  /** What no client may hear, as sentences. */
  readonly wrong: string[] = []
  /** Digests that were acknowledged. */
  readonly blobs: string[] = []
  readonly manifests: string[] = []
  /** Answers 503, which are asked again. */
  laters = 0
  readonly #random: SeededRandom
  readonly #down = new Set<MeshProcess>()
  /** By node: how often it was killed. */
  readonly #kills = new Map<MeshProcess, number>()
  /** By node: requests under way, and moves of tags that it has acknowledged. */
  readonly #busy = new Map<MeshProcess, number>()
  readonly #moved = new Map<MeshProcess, number>()
  #nodes: readonly MeshProcess[]
  #config: Descriptor | undefined
  #clients: Promise<void>[] = []
  #made = 0
  #moves = 0
  #era = 0
  #isOver = false

  readonly #clientCount: number

  /** Prints the seed. */
  constructor(nodes: readonly MeshProcess[], name: string, clients = 4) {
    this.#clientCount = clients
    this.seed = Number(process.env['MESH_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    console.log(`SEED ${this.seed} of: ${name} (MESH_SEED)`)
    this.#random = new SeededRandom(this.seed)
    this.#nodes = nodes
  }

  /** What all manifests name. To be called first. */
  async prepare(): Promise<void> {
    const config = await this.#nodes[0]!.client.pushBlob(this.repository, '{}')
    this.#config = { ...config, mediaType: 'application/vnd.oci.image.config.v1+json' }
  }

  /** Begins; goes on until `stop`. */
  start(): void {
    this.#clients = Array.from({ length: this.#clientCount }, () => this.#client())
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#clients)
  }

  /** Clients use other tags from now on: the history of each stays short enough to be checked. */
  nextEra(): void {
    this.#era += 1
  }

  get #tags(): readonly string[] {
    const era = this.#era === 0 ? '' : `-${this.#era}`
    return Array.from({ length: tagCount }, (_, at) => `t${at}${era}`)
  }

  /** Nodes in an order that the seed decides. */
  shuffled(): MeshProcess[] {
    const rest = [...this.#nodes]
    return this.#nodes.map(() => rest.splice(this.#random.below(rest.length), 1)[0]!)
  }

  /** Resolves when so many more moves of tags were acknowledged, of this node or of any. */
  async more(count: number, node?: MeshProcess): Promise<void> {
    const now = () => (node === undefined ? this.#moves : (this.#moved.get(node) ?? 0))
    const goal = now() + count
    await poll(() => now() >= goal || this.wrong.length > 0)
  }

  /** SIGSTOP while `run` runs, then SIGCONT: connections that are idle for so long may break then. */
  async whilePaused<T>(node: MeshProcess, run: () => Promise<T>): Promise<T> {
    this.#down.add(node)
    process.kill(node.pid, 'SIGSTOP')
    try {
      return await run()
    } finally {
      process.kill(node.pid, 'SIGCONT')
    }
  }

  /** A node that was paused or killed answers again: from now on no connection may break. */
  isBack(node: MeshProcess): void {
    this.#down.delete(node)
  }

  /** SIGKILL; clients go on asking the node. */
  async kill(node: MeshProcess): Promise<void> {
    this.#down.add(node)
    this.#kills.set(node, (this.#kills.get(node) ?? 0) + 1)
    await node.kill()
  }

  /** Resolves when it listens for clients. */
  async restart(node: MeshProcess): Promise<void> {
    await node.restart()
    this.isBack(node)
  }

  /** Clients ask this node, too. */
  add(node: MeshProcess): void {
    this.#nodes = [...this.#nodes, node]
  }

  /** Clients ask this node no more. Resolves when it has answered all. */
  async leave(node: MeshProcess): Promise<void> {
    this.#nodes = this.#nodes.filter((it) => it !== node)
    await poll(() => (this.#busy.get(node) ?? 0) === 0)
  }

  /** Moves a tag to a manifest of its own; whether that was acknowledged. */
  async move(node: MeshProcess, tag: string): Promise<boolean> {
    const { body, digest } = this.#make()
    const open = this.history.change(tag, { kind: 'write', value: digest })
    const heard = await this.#ask(node, 'PUT', this.#manifest(tag), { body })
    if (isDone(heard, 201)) {
      open.done()
      this.#hasMoved(node, digest)
      return true
    }
    if (heard === 'refused' || isNotDone(heard)) open.refused()
    this.#expectLater(heard, `a move of ${tag}`)
    return false
  }

  /** Moves a tag if it still shows what a read through another node, or the same one, has shown. */
  async compareAndMove(reader: MeshProcess, node: MeshProcess, tag: string): Promise<void> {
    const expected = await this.read(reader, tag)
    if (!expected.startsWith('sha256:')) return
    const { body, digest } = this.#make()
    const open = this.history.change(tag, { kind: 'compareAndSet', expected, value: digest })
    const headers = { 'If-Match': `"${expected}"` }
    const heard = await this.#ask(node, 'PUT', this.#manifest(tag), { body, headers })
    if (isDone(heard, 201)) {
      open.done(true)
      this.#hasMoved(node, digest)
      return
    }
    if (isDone(heard, 412)) return open.done(false)
    if (heard === 'refused' || isNotDone(heard)) open.refused()
    this.#expectLater(heard, `a conditional move of ${tag}`)
  }

  /** A manifest that was never there. */
  #make(): { readonly body: Buffer; readonly digest: string } {
    this.#made += 1
    const annotations = { made: `${this.seed}.${this.#made}` }
    const body = Buffer.from(JSON.stringify(imageManifest(this.#config!, [], { annotations })))
    return { body, digest: digestOf('sha256', body) }
  }

  #hasMoved(node: MeshProcess, digest: string): void {
    this.manifests.push(digest)
    this.#moves += 1
    this.#moved.set(node, (this.#moved.get(node) ?? 0) + 1)
  }

  /** Deletes a tag; whether it is known to be gone. */
  async untag(node: MeshProcess, tag: string): Promise<boolean> {
    const open = this.history.change(tag, { kind: 'write', value: undefined })
    const heard = await this.#ask(node, 'DELETE', this.#manifest(tag))
    if (isDone(heard, 202)) {
      open.done()
      return true
    }
    if (heard === 'refused' || isNotDone(heard) || isDone(heard, 404)) open.refused()
    // An earlier delete with an unknown outcome was done.
    if (isDone(heard, 404)) return true
    this.#expectLater(heard, `a delete of ${tag}`)
    return false
  }

  /** Reads a tag: its digest, or why there is none. */
  async read(node: MeshProcess, tag: string): Promise<string> {
    const open = this.history.read(tag)
    const heard = await this.#ask(node, 'GET', this.#manifest(tag))
    if (isDone(heard, 200)) {
      const digest = sha256(heard.body)
      open.saw(digest)
      return digest
    }
    if (isDone(heard, 404)) {
      open.saw(undefined)
      return 'none'
    }
    this.#expectLater(heard, `a read of ${tag}`)
    return 'later'
  }

  /** Pushes a blob of its own: it is among `blobs` when that was acknowledged. */
  async push(node: MeshProcess): Promise<void> {
    this.#made += 1
    const body = someBytes(blobBytes, this.#made)
    const digest = sha256(body)
    const runs = this.#kills.get(node)
    const opened = await this.#ask(node, 'POST', `/v2/${this.repository}/blobs/uploads/`)
    if (!isDone(opened, 202)) return this.#expectLater(opened, 'an upload')
    const target = `${opened.headers['location']}?digest=${digest}`
    const heard = await this.#ask(node, 'PUT', target, { body })
    if (isDone(heard, 201)) this.blobs.push(digest)
    // A session ends with its node.
    else if (isDone(heard, 404) && runs !== this.#kills.get(node)) return
    else this.#expectLater(heard, `the bytes of ${digest}`)
  }

  /** Pulls a blob that was acknowledged; false: it is to be asked for again. */
  async pull(node: MeshProcess, digest: string): Promise<boolean> {
    const heard = await this.#ask(node, 'GET', `/v2/${this.repository}/blobs/${digest}`)
    if (isDone(heard, 200)) {
      if (sha256(heard.body) !== digest) this.#say(`other bytes for ${digest}`)
      return true
    }
    this.#expectLater(heard, `a pull of ${digest}`)
    return false
  }

  /** Pulls all that was acknowledged, through each of these nodes, and reads each tag. */
  async pullAll(nodes: readonly MeshProcess[]): Promise<void> {
    for (const node of nodes) {
      await eachOf(this.blobs, (digest) => this.#until(() => this.pull(node, digest)))
      await eachOf(this.manifests, (digest) => this.#until(() => this.#hasManifest(node, digest)))
      const isRead = async (tag: string) => (await this.read(node, tag)) !== 'later'
      await eachOf(this.#tags, (tag) => this.#until(() => isRead(tag)))
    }
  }

  /** The tags that a node shows, with their digests. */
  async view(node: MeshProcess): Promise<Record<string, string>> {
    const answer = await node.client.get(`/v2/${this.repository}/tags/list`)
    expectStatus(answer, 200, 'the list of tags')
    const shown: Record<string, string> = {}
    for (const tag of (answer.json as { tags: string[] }).tags) {
      shown[tag] = await this.read(node, tag)
    }
    return shown
  }

  async #hasManifest(node: MeshProcess, digest: string): Promise<boolean> {
    const heard = await this.#ask(node, 'HEAD', this.#manifest(digest))
    if (!isDone(heard, 200)) this.#expectLater(heard, `the manifest ${digest}`)
    return isDone(heard, 200)
  }

  /** Ends at once when something was wrong: it may be so for ever. */
  #until(holds: () => Promise<boolean>): Promise<void> {
    return poll(async () => (await holds()) || this.wrong.length > 0)
  }

  #say(wrong: string): void {
    if (this.wrong.length === 0) console.log(`WRONG ${wrong}`)
    this.wrong.push(wrong)
  }

  #manifest(reference: string): string {
    return `/v2/${this.repository}/manifests/${reference}`
  }

  async #client(): Promise<void> {
    const random = this.#random.fork()
    while (!this.#isOver) {
      const node = random.pick(this.#nodes)
      const tag = random.pick(this.#tags)
      const kind = random.uniform()
      if (kind < 0.25) await this.move(node, tag)
      else if (kind < 0.35) await this.compareAndMove(random.pick(this.#nodes), node, tag)
      else if (kind < 0.65) await this.read(node, tag)
      else if (kind < 0.8) await this.push(node)
      else if (this.blobs.length > 0) await this.pull(node, random.pick(this.blobs))
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }

  /** A connection may be refused or break where its node was killed, and nowhere else. */
  async #ask(
    node: MeshProcess,
    method: string,
    target: string,
    options?: RequestOptions,
  ): Promise<Heard> {
    const runs = this.#kills.get(node)
    const wasDown = this.#down.has(node)
    this.#busy.set(node, (this.#busy.get(node) ?? 0) + 1)
    try {
      return await inTime(node.client.request(method, target, options))
    } catch (error) {
      const isExcused = wasDown || this.#down.has(node) || runs !== this.#kills.get(node)
      if (!isExcused) this.#say(`${method} ${target}: ${String(error)}`)
      return isRefused(error) ? 'refused' : 'broken'
    } finally {
      this.#busy.set(node, this.#busy.get(node)! - 1)
    }
  }

  #expectLater(heard: Heard, what: string): void {
    if (typeof heard === 'string') return
    const { status, headers, text } = heard
    this.laters += 1
    if (status === 503 && headers['retry-after'] !== undefined) return
    this.#say(`${what}: ${status} ${text.slice(0, 300)}`)
  }
}

function isDone(heard: Heard, status: number): heard is Answer {
  return typeof heard !== 'string' && heard.status === status
}

/** A refusal that says that nothing was done, and never will be. */
function isNotDone(heard: Heard): boolean {
  return typeof heard !== 'string' && heard.text.includes('"not done"')
}

function isRefused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED'
}

/** Runs for all of them, some at once. */
async function eachOf<T>(all: readonly T[], run: (one: T) => Promise<void>): Promise<void> {
  const left = all.values()
  const turn = async () => {
    for (const one of left) await run(one)
  }
  await Promise.all(Array.from({ length: 8 }, turn))
}

async function inTime<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${answerMs} ms`)), answerMs)
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}
