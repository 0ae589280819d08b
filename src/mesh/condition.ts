/**
 * @module How a node of a mesh is, for its health checks. A node that is cut off from the log is degraded and not
 * unwell: it serves what is named by its digest, and most of a mesh may be cut off at once.
 */
import { type HealthCheck, HealthProblem } from '../observability/health.ts'
import type { RoomState } from './room.ts'
import type { ServingSet } from './serving.ts'

const fullWords = 'its disk is full: rows stand still, and no write is taken'

/** `set` undefined: the writer of rows is not up yet. */
export function conditionCheck(
  set: () => Pick<ServingSet, 'state'> | undefined,
  room: () => RoomState = () => 'enough',
): HealthCheck {
  return {
    name: 'mesh',
    check: async () => {
      const state = set()?.state ?? 'coming'
      switch (state) {
        case 'coming': {
          const words = room() === 'full' ? fullWords : 'has not caught up with the log yet'
          throw new HealthProblem(words, 'not-ready')
        }
        case 'closed':
          throw new HealthProblem('has no rows that it may answer from')
        case 'silent':
          requireRoom(room())
          throw new HealthProblem('the log does not answer; tags and lists may be old', 'degraded')
        default:
      }
      requireRoom(room())
    },
  }
}

/**
 * Of the etcd that a node runs: undefined: it runs none; `stopped`: it has no part in it now; `coming`: since the start
 * it has not served, and had a part before. Until then the next node is not to be stopped: the log could lose its
 * majority. Later it is no matter of this node alone: the others carry the log, and it is started again.
 */
export function etcdCheck(state: () => string | undefined): HealthCheck {
  return {
    name: 'etcd',
    check: async () => {
      const now = state()
      if (now === undefined || now === 'stopped' || now === 'serving') return
      if (now === 'coming') {
        throw new HealthProblem('the etcd of this node does not serve yet', 'not-ready')
      }
      throw new HealthProblem('the etcd of this node does not serve; others may', 'told')
    },
  }
}

function requireRoom(room: RoomState): void {
  if (room === 'full') throw new HealthProblem(fullWords, 'degraded')
  if (room === 'short') {
    throw new HealthProblem('its disk is short of room: tags and lists ask the log', 'degraded')
  }
}
