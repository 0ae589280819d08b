/**
 * @module What may go wrong between two nodes of a mesh: one word for each case, with the status that says it
 * on the way from one node to another. No client of the registry sees these.
 */

/** Each problem and its status. */
export const MESH_PROBLEMS = {
  /** The other side does not know the secret of the mesh. */
  secret: 403,
  /** What was sealed does not open. */
  sealed: 500,
  /** No certificate, a foreign one, one that has ended, or one of another member than was asked for. */
  certificate: 401,
  /** Of another cluster. */
  cluster: 409,
  /** Of another log: it was made again, or the nodes use different ones. */
  log: 409,
  /** The program of the joining node is too old. */
  level: 409,
  /** The clocks of the two nodes differ by too much. */
  clock: 409,
  /** The joining node has data of its own. */
  data: 409,
  /** The handshake of a join has ended, or was never begun here. */
  handshake: 409,
  /** The other side does not have the entries any more. */
  cut: 410,
  /** A message that was not understood to its last byte. */
  message: 400,
  'too-large': 413,
  path: 404,
  /** The node has no copy of the blob. */
  blob: 404,
  method: 405,
  /** Nothing came for too long, or no connection could be made. */
  silent: 504,
  /** Too much is under way; later. */
  busy: 503,
  /** Ended from this side. */
  closed: 503,
  fault: 500,
} as const

export type MeshProblem = keyof typeof MESH_PROBLEMS

/** A refusal between nodes. Callers match `problem`, never the text. */
export class MeshError extends Error {
  readonly problem: MeshProblem

  constructor(problem: MeshProblem, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'MeshError'
    this.problem = problem
  }
}

export function isMeshProblem(word: string): word is MeshProblem {
  return Object.hasOwn(MESH_PROBLEMS, word)
}
