/**
 * @module The streams between this node and all its peers: each hears at once what reads show here, and this
 * node what reads show there. A hint beside the log: what is lost on the way, the beats in the log say later.
 */
import type { Time } from '../../metadata/log/etcd/time.ts'
import type { Random } from '../../runtime/random.ts'
import { MeshError } from '../identity/problem.ts'
import { type Peer, PeerClient, type PeerClientOptions } from './client.ts'
import { FrameReader, heartbeat } from './frames.ts'
import { type LinkTimes, PeerLink } from './link.ts'
import type { PeerCall, PeerRoute } from './listener.ts'

export interface PeerLinksOptions extends LinkTimes, Omit<PeerClientOptions, 'peer' | 'silentMs'> {
  readonly time: Time
  readonly random: Random
  /** Whether streams are taken from members that are no peers of this node. Default: no. */
  readonly hearsAll?: boolean
  /** The stream to a peer was opened (undefined), or ended with this. */
  readonly onChange?: (peer: Peer, error: MeshError | undefined) => void
}

/** What a peer has said: its number, its run, and the last entry that its reads show. */
export type ReportListener = (member: number, boot: number, visible: number) => void

interface Outgoing {
  readonly peer: Peer
  readonly link: PeerLink
}

export class PeerLinks {
  readonly #options: PeerLinksOptions
  readonly #heartbeatMs: number
  readonly #silentMs: number
  readonly #outgoing = new Map<number, Outgoing>()
  /** How to end the stream that each peer has opened here. */
  readonly #incoming = new Map<number, () => void>()
  readonly #listeners = new Set<ReportListener>()
  #own: { readonly boot: number; readonly visible: number } | undefined
  #isScheduled = false
  #isClosed = false

  constructor(options: PeerLinksOptions) {
    this.#options = options
    this.#heartbeatMs = options.heartbeatMs ?? 1_000
    this.#silentMs = options.silentMs ?? 3_000
  }

  /** Peers whose stream from here is open. */
  get open(): readonly number[] {
    return [...this.#outgoing].filter(([, { link }]) => link.isOpen).map(([member]) => member)
  }

  /**
   * From now on these are the peers; this node itself is passed over. Streams to and from others end. Throws
   * a RangeError for an address that is none; nothing has changed then.
   */
  setPeers(list: readonly Peer[]): void {
    if (this.#isClosed) return
    const own = this.#options.credentials().member
    const wanted = new Map(list.filter(({ member }) => member !== own).map((it) => [it.member, it]))
    const isKept = ({ peer }: Outgoing) => wanted.get(peer.member)?.address === peer.address
    const fresh = [...wanted.values()]
      .filter(({ member }) => {
        const there = this.#outgoing.get(member)
        return there === undefined || !isKept(there)
      })
      .map((peer) => new PeerClient({ ...this.#clientOptions(), peer }))
    for (const outgoing of [...this.#outgoing.values()]) {
      if (isKept(outgoing)) continue
      outgoing.link.close()
      this.#outgoing.delete(outgoing.peer.member)
    }
    for (const [member, end] of [...this.#incoming]) if (!wanted.has(member)) end()
    for (const client of fresh) this.#linkTo(client)
  }

  /** What reads show on this node in this run. In the next turn all peers hear the newest. */
  report(boot: number, visible: number): void {
    this.#own = { boot, visible }
    if (this.#isScheduled || this.#isClosed) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      for (const { link } of this.#outgoing.values()) this.#sayOn(link)
    })
  }

  /** Calls back for what peers say, until the returned function is called. */
  onReport(listener: ReportListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Where peers open their streams: `POST …/stream`. */
  get route(): PeerRoute {
    return { method: 'POST', answer: (call) => this.#hear(call) }
  }

  /** Ends all streams. */
  close(): void {
    this.#isClosed = true
    for (const { link } of this.#outgoing.values()) link.close()
    this.#outgoing.clear()
    for (const end of [...this.#incoming.values()]) end()
  }

  #clientOptions() {
    const { credentials, log, time } = this.#options
    return { credentials, log, time, silentMs: this.#silentMs }
  }

  #linkTo(client: PeerClient): void {
    const { time, random, onChange } = this.#options
    const { peer } = client
    const link = new PeerLink({
      client,
      time,
      random,
      heartbeatMs: this.#heartbeatMs,
      silentMs: this.#silentMs,
      onChange: (error) => onChange?.(peer, error),
    })
    this.#outgoing.set(peer.member, { peer, link })
    this.#sayOn(link)
  }

  #sayOn(link: PeerLink): void {
    if (this.#own === undefined) return
    link.say({ member: this.#options.credentials().member, ...this.#own })
  }

  /** Resolves when the peer has ended its stream; rejects for everything else that ends it. */
  async #hear({ caller, request, response }: PeerCall): Promise<void> {
    const isKnown = caller !== undefined && this.#outgoing.has(caller)
    const { hearsAll = false } = this.#options
    if (caller === undefined || this.#isClosed || !(isKnown || hearsAll)) {
      throw new MeshError('busy', 'this node does not know the member yet, or not any more')
    }
    // A peer that comes again has lost the stream that it had, though this end may not know that yet.
    this.#incoming.get(caller)?.()
    const { time } = this.#options
    const end = () => {
      request.destroy(new MeshError('closed', 'the stream was ended'))
    }
    this.#incoming.set(caller, end)
    let heardAt = time.monotonic()
    let cancel: () => void
    const tick = () => {
      cancel = time.after(this.#heartbeatMs, () => {
        if (time.monotonic() - heardAt >= this.#silentMs) {
          end()
          return
        }
        if (!response.writableNeedDrain) response.write(heartbeat)
        tick()
      })
    }
    tick()
    try {
      response.writeHead(200, { 'Content-Type': 'text/plain' })
      response.write(heartbeat)
      const reader = new FrameReader()
      for await (const piece of request as AsyncIterable<Buffer>) {
        heardAt = time.monotonic()
        const frame = reader.read(piece)
        if (frame === undefined) continue
        if (frame.member !== caller) {
          throw new MeshError('message', `member ${caller} speaks for member ${frame.member}`)
        }
        for (const listener of this.#listeners) listener(frame.member, frame.boot, frame.visible)
      }
      reader.end()
      response.end()
    } finally {
      cancel!()
      if (this.#incoming.get(caller) === end) this.#incoming.delete(caller)
    }
  }
}
