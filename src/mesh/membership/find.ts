/**
 * @module How a node that is no member finds its mesh: it asks the nodes of its list until one makes it a member.
 * Where all that answer are no members either, and most of the list answer with the same list, one of them founds a
 * mesh: the one that has content of its own, else the first of the list. So nodes may start in any order, and two
 * never found.
 */
import { MeshError, type MeshProblem } from '../identity/problem.ts'
import type { Joined } from '../peers/join/ask.ts'
import type { NotFounded } from '../peers/join/messages.ts'
import type { OwnAddress } from './own-address.ts'

/** Between two rounds, ms. */
const roundMs = 500
/** Rounds in which a node that has no content waits to hear of one that has. */
const roundsToHear = 10
/** Rounds between two lines of the log that say what is waited for. */
const roundsToSay = 20

export interface FindParts {
  readonly own: OwnAddress
  /** Whether this node has content of its own. */
  readonly hasData: boolean
  /** Asks the node at an address (`askToJoin`). */
  readonly ask: (address: string, claims: boolean) => Promise<Joined | NotFounded>
  /** Gives the one vote of this node to an address; false: another one has it. */
  readonly vote: (address: string) => Promise<boolean>
  /** All addresses of `name:port`. Never rejects. */
  readonly resolve: (name: string) => Promise<readonly string[]>
  /** Rejects when the search is given up. */
  readonly pause: (ms: number) => Promise<void>
  readonly warn: (message: string) => void
}

/** No other answer comes by asking again: the operator has to do something. */
const FINAL: ReadonlySet<MeshProblem> = new Set([
  'secret',
  'certificate',
  'cluster',
  'level',
  'clock',
  'data',
])

/** A member that was asked, and what it gave. */
export interface FoundMesh {
  readonly address: string
  readonly joined: Joined
}

interface Round {
  readonly found?: FoundMesh
  /** Nodes that are no members, by address. */
  readonly none: ReadonlyMap<string, NotFounded>
  readonly refusals: readonly MeshError[]
  readonly silent: readonly string[]
}

/** The addresses of those that found a mesh, this node among them, in an order that all of them find. */
export function foundersOf({ advertise, others }: OwnAddress): readonly string[] {
  return [...new Set([advertise, ...others])].sort()
}

/**
 * Resolves when a member has made this node one, or with 'found' when this node is to found the mesh. Rejects with a
 * MeshError that says what to do when nodes refuse it and none takes it, and with what `pause` rejects.
 */
export async function findMesh(parts: FindParts): Promise<FoundMesh | 'found'> {
  const { own, hasData, resolve, pause, warn } = parts
  const founders = foundersOf(own)
  for (let rounds = 0; ; rounds += 1) {
    const named = (await Promise.all(own.names.map(resolve))).flat()
    const addresses = [...new Set([...own.others, ...named])].filter((it) => it !== own.advertise)
    const round = await askAll(addresses, parts, false)
    if (round.found !== undefined) return round.found
    const [refusal] = round.refusals
    if (refusal !== undefined) throw refusal
    const verdict = judge(founders, round.none, parts)
    if (verdict === 'found' && (hasData || round.silent.length === 0 || rounds >= roundsToHear)) {
      const claimed = await claim(founders, parts)
      if (claimed !== undefined) return claimed
    }
    if (rounds % roundsToSay === 0) {
      // It waits to hear of all, or others have voted for another node.
      warn(sayWhy(verdict === 'found' ? 'few' : verdict, round, founders))
    }
    await pause(roundMs)
  }
}

/**
 * Resolves when a member has made this node one: for one that founds nothing. Rejects as `findMesh`.
 */
export async function findMember(
  parts: Pick<FindParts, 'ask' | 'own' | 'pause' | 'resolve' | 'warn'>,
): Promise<FoundMesh> {
  const { own, resolve, pause, warn } = parts
  for (let rounds = 0; ; rounds += 1) {
    const named = (await Promise.all(own.names.map(resolve))).flat()
    const addresses = [...new Set([...own.others, ...named])].filter((it) => it !== own.advertise)
    const { found, refusals, none } = await askAll(addresses, parts, false)
    if (found !== undefined) return found
    if (refusals.length > 0) throw refusals[0]
    if (rounds % roundsToSay === 0) {
      const why =
        none.size > 0 ? 'its nodes are about to found it' : 'no node of mesh.peers is reached'
      warn(`no mesh yet: ${why}`)
    }
    await pause(roundMs)
  }
}

/**
 * Asks for votes: each node has one, and gives it to one node (`vote.ts`). So two never have most of them,
 * whatever each has heard. Undefined: another node has them.
 */
async function claim(
  founders: readonly string[],
  parts: FindParts,
): Promise<FoundMesh | 'found' | undefined> {
  const { own, vote } = parts
  if (!(await vote(own.advertise))) return undefined
  const { found, none } = await askAll(own.others, parts, true)
  if (found !== undefined) return found
  const votes = [...none.values()].filter((said) => said.vote && isSame(said.founders, founders))
  return (votes.length + 1) * 2 > founders.length ? 'found' : undefined
}

async function askAll(
  addresses: readonly string[],
  { ask }: Pick<FindParts, 'ask'>,
  claims: boolean,
): Promise<Round> {
  const none = new Map<string, NotFounded>()
  const refusals: MeshError[] = []
  const silent: string[] = []
  for (const address of addresses) {
    try {
      const answer = await ask(address, claims)
      if (answer.is === 'member') {
        return { found: { address, joined: answer }, none, refusals, silent }
      }
      none.set(address, answer)
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
      if (FINAL.has(error.problem)) {
        refusals.push(new MeshError(error.problem, `${address}: ${error.message}`))
      } else silent.push(address)
    }
  }
  return { none, refusals, silent }
}

/** 'found', or why this node does not. */
function judge(
  founders: readonly string[],
  none: ReadonlyMap<string, NotFounded>,
  { own, hasData }: FindParts,
): 'found' | 'few' | 'lists' | 'other' {
  const agreeing = [...none].filter(([, said]) => isSame(said.founders, founders))
  // A node that only follows names founds nothing: it may see no more than itself for a while.
  if (own.names.length > 0 && own.others.length === 0) return 'few'
  if ((agreeing.length + 1) * 2 <= founders.length) {
    return agreeing.length < none.size ? 'lists' : 'few'
  }
  const withData = agreeing.filter(([, said]) => said.hasData).map(([address]) => address)
  if (hasData && withData.length > 0) {
    throw new MeshError(
      'data',
      `${withData[0]} has data of its own too; start one of them with an empty storage, and copy its data by a sync`,
    )
  }
  const founder = hasData ? own.advertise : (withData[0] ?? founders[0])
  return founder === own.advertise ? 'found' : 'other'
}

function sayWhy(
  verdict: 'few' | 'lists' | 'other',
  { none, silent }: Round,
  [first]: readonly string[],
): string {
  switch (verdict) {
    case 'lists':
      return 'no mesh yet: the nodes name different peers; give the same list mesh.peers to all of them'
    case 'other':
      // Another one in its place could found a second mesh: the first may only be cut off from here.
      if (first !== undefined && silent.includes(first) && !hasAnyData(none)) {
        return `no mesh yet: ${first} is the first of the list and founds it, and is not reached; start it, or take it out of mesh.peers of all nodes`
      }
      return 'no mesh yet: another node of the list is about to found it'
    default:
      return `no mesh yet: most of mesh.peers must be there to found one; not reached: ${silent.join(', ')}`
  }
}

function hasAnyData(none: ReadonlyMap<string, NotFounded>): boolean {
  return [...none.values()].some(({ hasData }) => hasData)
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((it, at) => it === other[at])
}
