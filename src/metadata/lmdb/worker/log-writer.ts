/**
 * @module The thread that writes the metadata of a node of a mesh. What callers commit goes through the log; what
 * stands in the log, whoever sent it, is applied. Changes of this node's own tables alone are applied at once.
 */
import type { MessagePort } from 'node:worker_threads'
import { systemClock } from '../../../runtime/clock.ts'
import { toWorkerFailure } from '../../../runtime/worker-failure.ts'
import { type Effect, effectsOf } from '../../effects.ts'
import type { AppliedEntry, SeenEntry } from '../../entry.ts'
import { CatchUp } from '../../log/catch-up.ts'
import { type CopyNews, copyNewsOf, isCopyNews } from '../../log/copy-news.ts'
import type { SequencedLog } from '../../log/port.ts'
import { Replica, type ReplicaListener } from '../../log/replica.ts'
import type { Settled } from '../../log/sender.ts'
import { openTail, type Tail } from '../../log/tail/tail.ts'
import { truncatedAt } from '../../log/truncation.ts'
import { pathsOf } from '../../paths.ts'
import type { PlaceRow, SessionRow } from '../../rows/mesh.ts'
import { type CommitOutcome, isShared, type Transaction, withOwnBytes } from '../../transaction.ts'
import { nextBoot } from '../boot-number.ts'
import { LmdbEnvironment } from '../environment.ts'
import type {
  LogFault,
  LogSettings,
  LogWriterReply,
  LogWriterRequest,
  LogWriterSetup,
} from './messages.ts'
import { timed } from './writer.ts'

const tickMs = 50

/** Between two questions to a log that does not answer, ms. */
const askAgainMs = 500

const keptUsually = { keepBytes: 64 * 1024 ** 2, tailBytes: 4 * 1024 ** 3 }

const noRoom = {
  errno: 'ENOSPC',
  message: 'the disk has no room for the rows of the mesh',
}

type Setup = Omit<LogWriterSetup, 'log'> & Pick<LogSettings, 'cluster' | 'level'>

/**
 * Writes until the port closes. `openLog` opens the log of the settings: the one of that identity, or for a store
 * that has followed none, the one that is there. Rejects when the store cannot be opened.
 */
export async function writeThroughLog(
  setup: Setup,
  openLog: (identity: string | undefined) => SequencedLog,
): Promise<void> {
  const { port, path } = setup
  const ended = new Promise<void>((resolve) => {
    port.once('close', resolve)
  })
  // The log has what a loss of power takes from this view.
  const environment = new LmdbEnvironment(path, true)
  const place = environment.get('places', 'applied') as PlaceRow | undefined
  const log = openLog(place?.log)
  try {
    const identity = place?.log ?? (await identityOf(log, ended))
    if (identity !== undefined) await write(setup, environment, { log, identity }, ended)
  } finally {
    await log.close()
    await environment.close()
  }
}

async function write(
  setup: Setup,
  environment: LmdbEnvironment,
  of: { readonly log: SequencedLog; readonly identity: string },
  ended: Promise<void>,
): Promise<void> {
  const writer = new LogWriter(setup, environment, of)
  const timer = setInterval(() => writer.tick(), tickMs)
  setup.port.on('message', (request: LogWriterRequest) => writer.take(request))
  await ended
  clearInterval(timer)
  writer.close()
}

/** Undefined: the port was closed before the log could be asked, or there is none yet. */
async function identityOf(log: SequencedLog, ended: Promise<void>): Promise<string | undefined> {
  let isOver = false
  const over = ended.then(() => {
    isOver = true
  })
  while (!isOver) {
    const identity = await log.identity().catch(() => undefined)
    if (identity !== undefined) return identity
    await Promise.race([over, new Promise((resolve) => setTimeout(resolve, askAgainMs))])
  }
  return undefined
}

/** A request, and where its shared transactions stand among all of it. */
interface Waiting {
  readonly id: number
  readonly outcomes: (CommitOutcome | undefined)[]
  readonly effects: readonly Effect[]
}

class LogWriter {
  readonly #port: MessagePort
  readonly #member: number
  readonly #log: SequencedLog
  readonly #environment: LmdbEnvironment
  readonly #replica: Replica
  readonly #tail: Tail
  readonly #keepBytes: number
  #isClosed = false
  /** By the number of the order. */
  readonly #waiting = new Map<number, Waiting>()
  /** Numbers of orders by request. */
  readonly #orders = new Map<number, number>()
  /** Who wants to hear when an order of controls is over: by its number. */
  readonly #said = new Map<number, number>()
  readonly #copyNewsOf: (entry: AppliedEntry) => CopyNews
  readonly #catchUp: CatchUp
  #isSilent = false

  constructor(
    { port, member, bootFile, tail, cluster, level, kept = keptUsually }: Setup,
    environment: LmdbEnvironment,
    { log, identity }: { readonly log: SequencedLog; readonly identity: string },
  ) {
    this.#port = port
    this.#member = member
    this.#log = log
    this.#environment = environment
    this.#keepBytes = kept.keepBytes
    this.#tail = openTail({
      folder: tail,
      bytesMax: kept.tailBytes,
      identity,
      cluster,
      onFault: (error) => this.#report({ is: 'tail', message: String(error) }),
    })
    const sessions = this.#sessions()
    const known = sessions.find(([number]) => number === member)?.[1].boot ?? 0
    const boot = nextBoot(bootFile, known)
    this.#copyNewsOf = (entry) => copyNewsOf(entry, member, boot)
    this.#replica = new Replica({
      log,
      identity,
      store: this.#environment,
      member,
      boot,
      now: () => systemClock.monotonic(),
      around: timed,
      level,
      keep: (entries) => this.#tail.append(entries),
      listener: this.#listener(),
    })
    this.#catchUp = new CatchUp({
      log,
      replica: this.#replica,
      ask: ({ index, token }, upTo) => this.#say({ kind: 'cut', place: { index, token }, upTo }),
      onLost: () => this.#report({ is: 'cut' }),
      now: () => systemClock.monotonic(),
    })
    this.#say({ kind: 'ready', boot, applied: this.#replica.applied, sessions })
    this.#replica.start()
    void this.#compare()
  }

  take(request: LogWriterRequest): void {
    switch (request.kind) {
      case 'commit':
        this.#commit(request.id, request.transactions.map(withOwnBytes))
        break
      case 'withdraw':
        this.#withdraw(request.id)
        break
      case 'say':
        this.#submitControls(request)
        break
      case 'head':
        this.#askHead(request.id)
        break
      case 'endpoints':
        this.#log.addEndpoints?.(request.endpoints)
        break
      case 'truncate':
        this.#truncate(request.durable)
        break
      case 'hold':
        this.#replica.hold(request.isHeld)
        break
      case 'tail':
        this.#say({ kind: 'tail-taken', index: this.#catchUp.take(request.entries) })
        break
      case 'tail-end':
        this.#catchUp.end(request.hasSome)
        break
      default:
        throw new TypeError(`no such request: ${JSON.stringify(request)}`)
    }
  }

  tick(): void {
    this.#replica.tick()
    this.#catchUp.tick()
    const { isSilent } = this.#replica
    if (isSilent === this.#isSilent) return
    this.#isSilent = isSilent
    this.#say({ kind: 'silent', isSilent })
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#catchUp.close()
    try {
      this.#replica.close()
    } finally {
      this.#tail.close()
    }
  }

  /** A log that ends before what was applied here was set back: what comes in it now is not what came before. */
  async #compare(): Promise<void> {
    const { applied } = this.#replica
    while (!this.#isClosed) {
      const head = await this.#log.head().catch(() => undefined)
      if (head === undefined) {
        await new Promise((resolve) => setTimeout(resolve, askAgainMs))
        continue
      }
      if (head < applied && !this.#isClosed) {
        this.close()
        this.#report({ is: 'went-back', head, applied })
      }
      return
    }
  }

  #sessions(): (readonly [number, SessionRow])[] {
    const keys = this.#environment.firstKeys('sessions', []) as string[]
    return keys.map(
      (key) => [Number(key), this.#environment.get('sessions', key) as SessionRow] as const,
    )
  }

  #commit(id: number, all: readonly Transaction[]): void {
    const outcomes: Waiting['outcomes'] = all.map(() => undefined)
    const effects: Effect[] = []
    const local = all.filter((it) => !isShared(it))
    // Its outcome would not be known for as long as nothing is applied.
    if (this.#replica.isHeld && local.length < all.length) {
      this.#say({ kind: 'failed', id, failure: noRoom })
      return
    }
    try {
      const applied = local.length === 0 ? [] : this.#replica.applyLocal(local)
      for (const [at, outcome] of applied.entries()) {
        const it = local[at]!
        outcomes[all.indexOf(it)] = outcome
        if (outcome.applied) effects.push(...effectsOf(it, outcome))
      }
    } catch (error) {
      this.#say({ kind: 'failed', id, failure: toWorkerFailure(error) })
      return
    }
    const waiting = { id, outcomes, effects }
    // No other node has them.
    if (local.length === all.length) return this.#settle(waiting, 0)
    const order = this.#replica.submit({ controls: [], transactions: all.filter(isShared) })
    this.#waiting.set(order, waiting)
    this.#orders.set(id, order)
  }

  #submitControls({ controls, id }: Extract<LogWriterRequest, { kind: 'say' }>): void {
    const order = this.#replica.submit({ controls, transactions: [] })
    if (id !== undefined) this.#said.set(order, id)
  }

  #onSettled({ id: order, index, fate, outcomes }: Settled): void {
    const said = this.#said.get(order)
    if (said !== undefined) {
      this.#said.delete(order)
      this.#say({ kind: 'said', id: said })
    }
    const waiting = this.#waiting.get(order)
    if (waiting === undefined) return
    this.#waiting.delete(order)
    this.#orders.delete(waiting.id)
    if (fate !== 'applied') return this.#say({ kind: 'not-done', id: waiting.id })
    let next = 0
    for (const [at, outcome] of waiting.outcomes.entries()) {
      if (outcome !== undefined) continue
      waiting.outcomes[at] = outcomes[next]!
      next += 1
    }
    this.#settle(waiting, index)
  }

  #settle({ id, outcomes, effects }: Waiting, index: number): void {
    this.#say({ kind: 'settled', id, index, outcomes: outcomes as CommitOutcome[], effects })
  }

  #withdraw(id: number): void {
    const order = this.#orders.get(id)
    if (order === undefined || !this.#replica.withdraw(order)) return
    this.#waiting.delete(order)
    this.#orders.delete(id)
    this.#say({ kind: 'not-done', id })
  }

  /** What is not in the tail here stays in the log: the next call comes. */
  #truncate(durable: number): void {
    const { firstIndex = 1, lastIndex = 0, sizeBytes } = this.#tail
    const lately = { entries: lastIndex + 1 - firstIndex, bytes: sizeBytes }
    const { applied } = this.#replica
    const index = truncatedAt({ durable, applied, keepBytes: this.#keepBytes, lately })
    if (index === undefined) return
    const found = this.#tail.read(index - 1, 1)
    const [entry] = found === 'cut' ? [] : found
    if (entry?.index !== index) return
    this.#log.truncate(entry).catch(() => undefined)
  }

  #askHead(id: number): void {
    // Reads would wait for what comes from a peer, or rest on it before it is proven.
    if (!this.#replica.isCurrent) return this.#say({ kind: 'head', id, index: undefined })
    this.#log.head().then(
      (index) => this.#say({ kind: 'head', id, index }),
      () => this.#say({ kind: 'head', id, index: undefined }),
    )
  }

  #listener(): ReplicaListener {
    return {
      onApplied: (entries) => this.#onApplied(entries),
      onSettled: (settled) => this.#onSettled(settled),
      onCut: () => this.#catchUp.onCut(),
      onRefused: () => this.#report({ is: 'refused' }),
      onConflict: (member, index) => this.#report({ is: 'conflict', member, index }),
      onFenced: (index) => this.#report({ is: 'fenced', index }),
      onOutdated: (level) => this.#report({ is: 'outdated', level }),
      onGap: (index) => this.#report({ is: 'gap', index }),
      onStuck: (error) => this.#report({ is: 'stuck', message: String(error) }),
      onPoison: (index, error) => this.#report({ is: 'poison', index, message: String(error) }),
    }
  }

  #onApplied(applied: readonly AppliedEntry[]): void {
    const effects: Effect[] = []
    const entries: SeenEntry[] = applied.map((entry) => {
      const own = effectsIn(entry)
      effects.push(...own)
      const { index, member, boot, fate, done, body } = entry
      return { index, member, boot, fate, done, controls: body.controls, paths: pathsOf(own) }
    })
    const others = applied.filter(({ member }) => member !== this.#member)
    const count = others.reduce((sum, { body }) => sum + body.transactions.length, 0)
    const copies = applied.map(this.#copyNewsOf).filter(isCopyNews)
    const { durable } = this.#replica
    this.#say({ kind: 'seen', entries, effects, others: count, copies, durable })
  }

  #report(fault: LogFault): void {
    this.#say({ kind: 'fault', fault })
  }

  #say(reply: LogWriterReply): void {
    this.#port.postMessage(reply)
  }
}

function effectsIn({ body, outcomes }: AppliedEntry): Effect[] {
  return body.transactions.flatMap((it, at) => {
    const outcome = outcomes[at]!
    return outcome.applied ? effectsOf(it, outcome) : []
  })
}
