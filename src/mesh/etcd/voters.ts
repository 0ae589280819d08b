/**
 * @module Brings the voters of etcd to what the mesh wants, one change at a time. It runs on every node and
 * acts on the lead alone; each step begins with etcd's own list, so that the next lead goes on where the
 * last one ended.
 */
import { EtcdError } from '../../metadata/log/etcd/errors.ts'
import { systemTime, type Time } from '../../metadata/log/etcd/time.ts'
import { REFUSED_MS, SETTLED_MS, STEP_MS } from './limits.ts'
import { type EtcdMembers, endpointOf } from './members.ts'
import type { ListedMember } from './messages.ts'
import { type Health, type MeshMember, nextStep, type Step, wantedOf } from './steps.ts'

export interface VotersOptions {
  readonly members: Pick<
    EtcdMembers,
    'list' | 'status' | 'addLearner' | 'promote' | 'remove' | 'moveLeader'
  >
  /** Whether this node is the one that acts. Asked again right before a change. */
  readonly isLead: () => boolean
  /** The members of the mesh in the order of their numbers; who left for good, or was removed, is not there. */
  readonly mesh: () => readonly MeshMember[]
  /** Each step that was made or that waits, and what went wrong. */
  readonly report?: (step: Step, error?: EtcdError) => void
  readonly time?: Time
}

export class Voters {
  readonly #options: VotersOptions
  readonly #time: Time
  #stopTimer: (() => void) | undefined
  #running: Promise<void> | undefined
  #isStopped = false
  #isTurning = false

  constructor(options: VotersOptions) {
    this.#options = options
    this.#time = options.time ?? systemTime
  }

  /** Looks at once, and then every few seconds. */
  start(): void {
    this.#schedule(0)
  }

  /** The members of the mesh have changed: what is to be done is not to wait. */
  hurry(): void {
    if (this.#isStopped || this.#isTurning) return
    this.#stopTimer?.()
    this.#schedule(0)
  }

  /** Resolves when no change is under way any more. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stopTimer?.()
    await this.#running
  }

  /**
   * Looks, and makes one change when there is one to make. Rejects with an EtcdError: whether the change was
   * made is then seen by the next one.
   */
  async step(): Promise<Step> {
    const { members, isLead, mesh } = this.#options
    if (!isLead()) return { kind: 'none' }
    const listed = await members.list()
    const health = await this.#look(listed)
    const step = nextStep(wantedOf(mesh(), listed), listed, health)
    // What was looked at took its time.
    if (!isLead()) return { kind: 'none' }
    try {
      await this.#make(step, listed)
    } catch (error) {
      if (error instanceof EtcdError) this.#options.report?.(step, error)
      throw error
    }
    if (step.kind !== 'none') this.#options.report?.(step)
    return step
  }

  async #make(step: Step, listed: readonly ListedMember[]): Promise<void> {
    const { members } = this.#options
    switch (step.kind) {
      case 'add':
        await members.addLearner(step.peerUrl)
        break
      case 'promote':
        await members.promote(step.id)
        break
      case 'remove':
        await members.remove(step.id)
        break
      case 'move-leader': {
        const url = listed.find(({ id }) => id === step.from)?.clientUrls[0]
        if (url !== undefined) await members.moveLeader(endpointOf(url), step.to)
        break
      }
      default:
    }
  }

  async #look(listed: readonly ListedMember[]): Promise<Health> {
    const up = new Set<bigint>()
    const leaders = new Map<bigint, number>()
    await Promise.all(
      listed.map(async ({ id, clientUrls: [url] }) => {
        if (url === undefined) return
        try {
          const { memberId, leader } = await this.#options.members.status(endpointOf(url))
          // Another member at its address is not this one.
          if (memberId !== id || leader === 0n) return
          up.add(id)
          leaders.set(leader, (leaders.get(leader) ?? 0) + 1)
        } catch (error) {
          if (!(error instanceof EtcdError) || error.code === 'closed') throw error
        }
      }),
    )
    const [most] = [...leaders].sort(([, a], [, b]) => b - a)
    const running = this.#options.mesh().filter(({ isReady }) => isReady)
    const ready = new Set(running.map(({ peerUrl }) => peerUrl))
    return { up, leader: most?.[0] ?? 0n, ready }
  }

  #schedule(ms: number): void {
    if (this.#isStopped) return
    this.#stopTimer = this.#time.after(ms, () => {
      this.#isTurning = true
      this.#running = this.#turn().then((next) => {
        this.#isTurning = false
        this.#schedule(next)
      })
    })
  }

  /** How long to wait for the next turn. Never rejects. */
  async #turn(): Promise<number> {
    try {
      const { kind } = await this.step()
      if (kind === 'none') return SETTLED_MS
      return kind === 'wait' ? REFUSED_MS : STEP_MS
    } catch {
      // It was reported, or the list could not be had: the next turn looks again.
      return REFUSED_MS
    }
  }
}
