/**
 * @module `/admin/mesh`: the nodes of a mesh, how far each has come, and who goes.
 */
import * as v from 'valibot'
import { type Endpoint, endpoint } from './endpoint.ts'
import { conflict, notFound } from './problem.ts'

const amountSchema = v.object({ blobs: v.number(), bytes: v.number() })

/** Of blobs that are files, as the last pass of the repair has counted them. */
const copiesSchema = {
  /** Here, and the node owns them; owned, and not here. */
  owned: amountSchema,
  lacking: amountSchema,
  /** Here, others own them, and they have not taken them over yet. */
  kept: amountSchema,
  /** Here for pulls alone. */
  cached: amountSchema,
}

const memberSchema = v.object({
  number: v.number(),
  name: v.string(),
  /** `joining`, `active`, `draining`, `out` or `left`; `witness`: it only votes. */
  state: v.picklist(['joining', 'active', 'draining', 'out', 'left', 'witness']),
  address: v.string(),
  zone: v.string(),
  weight: v.number(),
  /** Number of its last run; 0: none has come in yet. */
  boot: v.number(),
  /** The last entry that its reads show, and the last one that a loss of power cannot take. */
  visible: v.number(),
  applied: v.number(),
  durable: v.number(),
  /** The newest rules of the log that its program knows; 0: none has come in yet. */
  level: v.number(),
  /** Whether it takes part; whether pushes wait for its reads. */
  present: v.boolean(),
  serving: v.boolean(),
  /** Whether it has a vote in the etcd that the nodes run; false with an etcd of others. */
  voter: v.boolean(),
  /** Whether the stream from this node to it is open. */
  reached: v.boolean(),
  /** Whether `copies` are known: not before a pass that began after the last change of members. */
  counted: v.picklist(['known', 'not known yet', 'not reached', 'left']),
  copies: v.optional(v.object({ ...copiesSchema, countedAt: v.number() })),
  /** Uploads that rest on copies of the node. */
  pins: v.optional(v.number()),
})

const meshSchema = v.object({
  cluster: v.string(),
  /** Number of the node that answers. */
  member: v.number(),
  /** Number of the node that acts for all; absent: none takes part. */
  lead: v.optional(v.number()),
  /** Whether this node answers reads of tags and lists by itself. */
  serving: v.boolean(),
  /** The last entry that reads here show, and the last one that reads of all nodes show. */
  visible: v.number(),
  stable: v.number(),
  log: v.object({
    identity: v.string(),
    endpoints: v.array(v.string()),
    /** Of this node's own etcd; absent with an etcd of others. */
    etcd: v.optional(v.string()),
  }),
  /** The rules of the log that are in force. */
  level: v.number(),
  members: v.array(memberSchema),
  /** Sum over the members whose copies are known; `isWhole`: that is all that have not left. */
  copies: v.object({ isWhole: v.boolean(), ...copiesSchema }),
  /** What the operators should give alike to all nodes and have not, among those that are reached; hashes, no content. */
  differences: v.array(
    v.object({
      what: v.string(),
      given: v.array(v.object({ hash: v.string(), members: v.array(v.number()) })),
    }),
  ),
  /** How far the node that answers is on its way out; absent: it stays. */
  leaving: v.optional(v.picklist(['handing over', 'giving up its vote', 'handed over', 'left'])),
})

export type MeshOverview = v.InferInput<typeof meshSchema>

export interface MeshSources {
  readonly overview: () => Promise<MeshOverview>
  /** Resolves when all nodes know it; false: there is no such member, or it has left. */
  readonly setState: (member: number, state: 'active' | 'draining' | 'left') => Promise<boolean>
  /** Copies of a member that no other one has, by a look at all disks. Rejects when it does not say. */
  readonly onlyAt: (member: number) => Promise<number>
  /** Lets the node that answers leave; it goes on behind the answer. Rejects with why it cannot. */
  readonly leave: () => Promise<void>
}

const memberParams = v.object({
  member: v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,64}$/, 'expected a number or a name')),
})

const summaries = {
  drain: 'give a node nothing new and hand over what it has; it still serves',
  undrain: 'take a draining node back',
  remove: 'put a node out for good: it comes back only as a new one, with an empty storage',
} as const

/** Undefined: one node alone. */
export function meshEndpoints(sources: MeshSources | undefined): Endpoint[] {
  if (sources === undefined) return []
  const { overview, setState, leave } = sources
  const change = (word: Exclude<keyof typeof summaries, 'remove'>, state: 'active' | 'draining') =>
    endpoint({
      method: 'POST',
      path: `/admin/mesh/members/{member}/${word}`,
      group: 'mesh',
      summary: summaries[word],
      params: memberParams,
      answer: meshSchema,
      handle: async ({ params }) => {
        const number = numberOf(params.member, await overview())
        if (!(await setState(number, state))) throw notFound('there is no such node any more')
        return overview()
      },
    })
  return [
    endpoint({
      method: 'GET',
      path: '/admin/mesh',
      group: 'mesh',
      summary: 'the nodes of the mesh, who takes part, who votes, and how far each has come',
      answer: meshSchema,
      handle: () => overview(),
    }),
    change('drain', 'draining'),
    change('undrain', 'active'),
    remove(sources),
    endpoint({
      method: 'POST',
      path: '/admin/mesh/leave',
      group: 'mesh',
      summary:
        'let the node that answers leave: it hands over what it has, and its process ends with 0',
      answer: meshSchema,
      handle: async () => {
        await leave()
        return overview()
      },
    }),
  ]
}

function remove({ overview, setState, onlyAt }: MeshSources): Endpoint {
  return endpoint({
    method: 'POST',
    path: '/admin/mesh/members/{member}/remove',
    group: 'mesh',
    summary: summaries.remove,
    params: memberParams,
    query: v.strictObject({ evenSo: v.optional(v.picklist(['true', 'false'])) }),
    answer: meshSchema,
    handle: async ({ params, query }) => {
      const mesh = await overview()
      const number = numberOf(params.member, mesh)
      const { state, reached } = mesh.members.find((it) => it.number === number)!
      // Of one that is not there nothing can be had any more.
      if (query.evenSo !== 'true' && state !== 'left' && reached) await requireNothingAlone(number)
      if (!(await setState(number, 'left'))) throw notFound('there is no such node any more')
      return overview()
    },
  })

  async function requireNothingAlone(number: number): Promise<void> {
    const only = await onlyAt(number).catch(() => undefined)
    if (only === 0) return
    const advice = 'drain it first, or ask with evenSo=true (--even-so) to lose them'
    if (only !== undefined) throw conflict(`only this node has ${only} of its blobs: ${advice}`)
    throw conflict(`the node does not say whether only it has some of its blobs: ${advice}`)
  }
}

/** By number, or by name: where several had it, the one that came last. */
function numberOf(word: string, { members }: MeshOverview): number {
  const byName = members.filter(({ name }) => name === word).at(-1)
  const found = members.find(({ number }) => String(number) === word) ?? byName
  if (found === undefined) throw notFound(`there is no node "${word}"; see GET /admin/mesh`)
  return found.number
}
