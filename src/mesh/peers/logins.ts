/**
 * @module Failed logins, told to the other members at once: who guesses passwords at one node after the other meets the
 * bounds of one. Nothing waits for it. What a member is not told, as it is not reached, it does not count.
 *
 *   POST …/logins  {logins: [{is, name, client, count}]} → {}
 */
import * as v from 'valibot'
import type { LoginNews, SharedLogins } from '../../auth/passwords.ts'
import type { Time } from '../../metadata/log/etcd/time.ts'
import { answerTo } from './client.ts'
import type { PeerRoute } from './listener.ts'
import { parseJson, readBody, respondJson } from './messages.ts'
import type { Peers } from './peers.ts'

export const loginsPath = '/internal/v1/logins'

/** Of one message; what is told of more clients and users at once than this is forgotten. */
const loginsMax = 500
/** Of a message: each letter of a name may take six. */
const bytesMax = 1024 * 1024
/** Until a message is given up, ms. */
const givenUpMs = 2_000
const nameMax = 256

const Login = v.strictObject({
  is: v.picklist(['failed', 'failed-own', 'good']),
  name: v.pipe(v.string(), v.maxLength(nameMax)),
  client: v.pipe(v.string(), v.maxLength(64)),
  count: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(1_000)),
})
const Logins = v.strictObject({ logins: v.pipe(v.array(Login), v.maxLength(loginsMax)) })

type Waiting = Map<string, { readonly news: LoginNews; count: number }>

/** What other members say. */
function loginsRoute(take: (news: LoginNews, count: number) => void, time: Time): PeerRoute {
  return {
    method: 'POST',
    answer: async ({ request, response }) => {
      const body = await readBody(request, { bytesMax, ms: givenUpMs, time })
      for (const { count, ...news } of parseJson(body, Logins).logins) take(news, count)
      respondJson(response, 200, {})
    },
  }
}

export class LoginsOfMesh implements SharedLogins {
  readonly #peers: Peers
  readonly #time: Time
  /** By member: what comes while a message is under way goes with the next one. */
  readonly #waiting = new Map<number, Waiting>()
  readonly #sending = new Set<number>()

  constructor(peers: Peers, time: Time) {
    this.#peers = peers
    this.#time = time
  }

  readonly hear = (take: (news: LoginNews, count: number) => void): void => {
    this.#peers.addRoute(loginsPath, loginsRoute(take, this.#time))
  }

  /** From now on nothing is heard. */
  close(): void {
    this.#peers.dropRoute(loginsPath)
  }

  readonly tell = (told: LoginNews): void => {
    const news = { ...told, name: told.name.slice(0, nameMax), client: told.client.slice(0, 64) }
    for (const member of this.#peers.links.open) {
      const waiting = this.#waiting.get(member) ?? new Map()
      this.#waiting.set(member, waiting)
      add(waiting, news)
      if (!this.#sending.has(member)) void this.#send(member)
    }
  }

  /** Never rejects. */
  async #send(member: number): Promise<void> {
    this.#sending.add(member)
    for (;;) {
      const waiting = this.#waiting.get(member)
      this.#waiting.delete(member)
      if (waiting === undefined) break
      const logins = [...waiting.values()].map(({ news, count }) => ({ ...news, count }))
      await this.#post(member, JSON.stringify({ logins })).catch(() => undefined)
    }
    this.#sending.delete(member)
  }

  async #post(member: number, text: string): Promise<void> {
    const client = this.#peers.client(member)
    const asked = client.open('POST', loginsPath)
    asked.setHeader('Content-Length', Buffer.byteLength(text))
    const cancel = this.#time.after(givenUpMs, () => asked.destroy())
    try {
      const answer = await client.accept(await answerTo(asked.end(text)))
      await readBody(answer, { bytesMax, ms: givenUpMs, time: this.#time })
    } finally {
      cancel()
    }
  }
}

/** A good login forgives what failed before it, and what fails after it counts. */
function add(waiting: Waiting, news: LoginNews): void {
  const keyOf = (is: LoginNews['is']) => `${is} ${news.client} ${news.name}`
  if (news.is === 'good') {
    waiting.delete(keyOf('failed'))
    waiting.delete(keyOf('failed-own'))
    waiting.delete(keyOf('good'))
  }
  const known = waiting.get(keyOf(news.is))
  if (known !== undefined) known.count = Math.min(known.count + 1, 1_000)
  else if (waiting.size < loginsMax) waiting.set(keyOf(news.is), { news, count: 1 })
}
