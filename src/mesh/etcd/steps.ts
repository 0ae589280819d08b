/**
 * @module Which members of the mesh are to vote in its etcd, and the one change that comes next on the way
 * there. Pure: what it answers depends on the members of the mesh, on etcd's own list and on who is up, so
 * that a lead that died in the middle leaves nothing to be cleaned up.
 *
 * The way of one voter: add (as a learner, which counts for no majority) -> promote -> move-leader -> remove
 */
import { VOTERS_MAX } from './limits.ts'
import type { ListedMember } from './messages.ts'

/** A member of the mesh; etcd knows it by the URL for its peers. */
export interface MeshMember {
  readonly peerUrl: string
  /** It is leaving: it has a role until another member has taken it. */
  readonly isLeaving: boolean
  /** It runs, and can be given a role. */
  readonly isReady: boolean
}

/** URLs of who is to vote, and of who is to follow without a vote. */
export interface Wanted {
  readonly voters: readonly string[]
  readonly learners: readonly string[]
}

export interface Health {
  /** Members that answer and know a leader. */
  readonly up: ReadonlySet<bigint>
  /** 0 when it is not known. */
  readonly leader: bigint
  /** URLs of members of the mesh that run. */
  readonly ready: ReadonlySet<string>
}

export type Step =
  | { readonly kind: 'none' }
  /** Something is wanted and not possible now. */
  | { readonly kind: 'wait'; readonly why: string }
  | { readonly kind: 'add'; readonly peerUrl: string }
  | { readonly kind: 'promote'; readonly id: bigint }
  | { readonly kind: 'move-leader'; readonly from: bigint; readonly to: bigint }
  | { readonly kind: 'remove'; readonly id: bigint }

/** The largest odd number up to the members and to VOTERS_MAX: an even one survives no more than it. */
export function votersFor(members: number): number {
  const most = Math.min(members, VOTERS_MAX)
  return most % 2 === 0 ? Math.max(0, most - 1) : most
}

/** Of how many voters a majority is. */
export function quorumOf(voters: number): number {
  return Math.floor(voters / 2) + 1
}

/**
 * Who is to vote: who does so already, then who follows already, then who runs, in the order of `mesh`. So a
 * member that comes or goes changes as few roles as can be. The second of two members follows without a vote.
 */
export function wantedOf(mesh: readonly MeshMember[], listed: readonly ListedMember[]): Wanted {
  const staying = mesh.filter(({ isLeaving }) => !isLeaving)
  const rank = ({ peerUrl, isReady }: MeshMember) => {
    const known = listed.find(({ peerUrls }) => peerUrls.includes(peerUrl))
    if (known !== undefined) return known.isLearner ? 1 : 0
    return isReady ? 2 : 3
  }
  const urls = [...staying].sort((a, b) => rank(a) - rank(b)).map(({ peerUrl }) => peerUrl)
  const count = votersFor(urls.length)
  return { voters: urls.slice(0, count), learners: urls.length === 2 ? urls.slice(count) : [] }
}

const NONE: Step = { kind: 'none' }

/** The next change, one at a time: each leaves a majority of the voters up. */
export function nextStep(wanted: Wanted, listed: readonly ListedMember[], health: Health): Step {
  const state = stateOf(wanted, listed, health)
  const { voters, up } = state
  if (wanted.voters.length === 0) return wait('no member is to vote')
  if (voters.filter(up).length < quorumOf(voters.length)) {
    return wait('most of the voters of etcd do not answer')
  }
  return (
    removeStray(state) ??
    removeDead(state) ??
    fillVotes(state, health.ready) ??
    freeVotes(state, health.leader) ??
    addLearner(state, health.ready) ??
    NONE
  )
}

interface State {
  readonly wanted: Wanted
  readonly voters: readonly ListedMember[]
  readonly learners: readonly ListedMember[]
  /** Voters that are to vote no longer. */
  readonly surplus: readonly ListedMember[]
  /** URLs of who is to vote and does not yet. */
  readonly missing: readonly string[]
  readonly up: (member: ListedMember) => boolean
}

function stateOf(wanted: Wanted, listed: readonly ListedMember[], health: Health): State {
  const voters = listed.filter(({ isLearner }) => !isLearner)
  return {
    wanted,
    voters,
    learners: listed.filter(({ isLearner }) => isLearner),
    surplus: voters.filter((member) => !isAmong(member, wanted.voters)),
    missing: wanted.voters.filter((url) => !voters.some(({ peerUrls }) => peerUrls.includes(url))),
    up: ({ id }) => health.up.has(id),
  }
}

/** A learner that nothing wants takes the place of another: etcd has one at a time. */
function removeStray({ wanted, learners, missing }: State): Step | undefined {
  const places = [...missing, ...wanted.learners]
  const stray =
    learners.find((learner) => !isAmong(learner, places)) ??
    // One that is to remain a learner gives way to one that is to vote.
    (missing.length > 0 ? learners.find((learner) => !isAmong(learner, missing)) : undefined)
  return stray === undefined ? undefined : { kind: 'remove', id: stray.id }
}

/** A dead voter goes before others come: etcd takes no learner while a voter is down. */
function removeDead(state: State): Step | undefined {
  const dead = state.surplus.find((member) => !state.up(member) && mayGo(state, member))
  return dead === undefined ? undefined : { kind: 'remove', id: dead.id }
}

/** New voters come before old ones go. */
function fillVotes(state: State, ready: ReadonlySet<string>): Step | undefined {
  const { missing, learners, voters, surplus, up } = state
  if (missing.length === 0) return undefined
  const learner = learners.find(up) ?? learners[0]
  if (learner === undefined) {
    const peerUrl = missing.find((url) => ready.has(url))
    if (peerUrl === undefined) return wait('the member that is to vote next does not run')
    return { kind: 'add', peerUrl }
  }
  const others = missing.filter((url) => !learner.peerUrls.includes(url))
  const isOtherReady = others.some((url) => ready.has(url))
  if (!up(learner)) {
    const isComing = learner.peerUrls.some((url) => ready.has(url))
    if (!isComing && isOtherReady) return { kind: 'remove', id: learner.id }
    return wait('the member that is to vote next does not answer')
  }
  // An even number of voters survives less than the odd one below it: only for a moment.
  const isEven = (voters.length + 1) % 2 === 0
  if (isEven && surplus.length === 0 && !isOtherReady) {
    return wait('a second member is to vote together with the first, and does not run')
  }
  return { kind: 'promote', id: learner.id }
}

/** Old voters go when all new ones vote; the leader goes last, and hands over first. */
function freeVotes(state: State, leader: bigint): Step | undefined {
  const { surplus, voters, up } = state
  if (surplus.length === 0) return undefined
  const going = surplus.filter((member) => mayGo(state, member))
  const follower = going.find(({ id }) => id !== leader)
  if (follower !== undefined) return { kind: 'remove', id: follower.id }
  const [last] = going
  const heir = voters.find((member) => !surplus.includes(member) && up(member))
  if (last === undefined || heir === undefined) {
    return wait('too few voters of etcd answer for one of them to leave')
  }
  return { kind: 'move-leader', from: last.id, to: heir.id }
}

function addLearner(state: State, ready: ReadonlySet<string>): Step | undefined {
  const { wanted, learners } = state
  if (learners.length > 0) return undefined
  const peerUrl = wanted.learners.find((url) => ready.has(url))
  return peerUrl === undefined ? undefined : { kind: 'add', peerUrl }
}

/** Whether a majority of the other voters is up. */
function mayGo({ voters, up }: State, member: ListedMember): boolean {
  const rest = voters.filter((one) => one !== member)
  return rest.length > 0 && rest.filter(up).length >= quorumOf(rest.length)
}

function isAmong({ peerUrls }: ListedMember, urls: readonly string[]): boolean {
  return peerUrls.some((url) => urls.includes(url))
}

function wait(why: string): Step {
  return { kind: 'wait', why }
}
