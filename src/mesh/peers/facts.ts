/**
 * @module What a node says of itself to the others, beside what is in the log: it may be other after each start.
 *
 *   GET …/facts   fields that a node does not know are passed over
 */
import * as v from 'valibot'
import type { Time } from '../../metadata/log/etcd/time.ts'
import { asMeshError } from './client.ts'
import type { PeerRoute } from './listener.ts'
import { parseJson, readBody, respondJson } from './messages.ts'
import type { Peers } from './peers.ts'

export const factsPath = '/internal/v1/facts'

/** Of facts, bytes. */
const bytesMax = 16 * 1024
/** Until the whole of an answer, ms. */
const answerMs = 2_000
/** Between two questions to all, ms. */
const everyMs = 5_000

const NodeFacts = v.object({
  /** Where clients reach the node, without a path; empty: it says nothing of that. */
  url: v.pipe(
    v.string(),
    v.maxLength(300),
    v.check((text) => text === '' || isOriginOfWeb(text), 'no URL'),
  ),
  /** Hashes of what should be the same on all nodes, by name. */
  alike: v.optional(
    v.pipe(
      v.record(
        v.pipe(v.string(), v.regex(/^[a-z ]{1,30}$/)),
        v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)),
      ),
      v.check((hashes) => Object.keys(hashes).length <= 50, 'too many'),
    ),
    {},
  ),
})
export type NodeFacts = v.InferOutput<typeof NodeFacts>

/** How peers are answered. */
export function factsRoute(facts: () => Promise<NodeFacts>): PeerRoute {
  return {
    method: 'GET',
    answer: async ({ response }) => respondJson(response, 200, await facts()),
  }
}

/** Of another member. Rejects with a MeshError when it does not say. */
export async function factsOf(
  peers: Pick<Peers, 'client'>,
  member: number,
  time: Time,
): Promise<NodeFacts> {
  try {
    const answer = await peers.client(member).get(factsPath)
    return parseJson(await readBody(answer, { bytesMax, ms: answerMs, time }), NodeFacts)
  } catch (error) {
    throw asMeshError(error)
  }
}

/** The facts of all members that are reached, as they were some seconds ago. */
export class FactsOfPeers {
  readonly #peers: Pick<Peers, 'client' | 'links'>
  readonly #time: Time
  #known: ReadonlyMap<number, NodeFacts> = new Map()
  #cancel: () => void = () => undefined
  #isClosed = false

  constructor(peers: Pick<Peers, 'client' | 'links'>, time: Time) {
    this.#peers = peers
    this.#time = time
  }

  /** By member; those alone that are reached. */
  get known(): ReadonlyMap<number, NodeFacts> {
    return this.#known
  }

  /** Asks all, now and every few seconds. Never rejects. */
  async start(): Promise<void> {
    const asked = this.#peers.links.open.map(async (member) => {
      const facts = await factsOf(this.#peers, member, this.#time).catch(() => undefined)
      return facts === undefined ? [] : [[member, facts] as const]
    })
    this.#known = new Map((await Promise.all(asked)).flat())
    if (!this.#isClosed) this.#cancel = this.#time.after(everyMs, () => void this.start())
  }

  close(): void {
    this.#isClosed = true
    this.#cancel()
  }
}

/** What it becomes is sent to clients: scheme, host and port, and nothing else. */
function isOriginOfWeb(text: string): boolean {
  return /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text
}
