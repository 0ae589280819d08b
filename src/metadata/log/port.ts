/**
 * @module A log that orders the transactions of several nodes, as a port: bytes in, the same bytes out on
 * every node, in one order and without holes. It knows nothing of rows. Engines are drivers of it.
 */

/** One entry where it stands. Indexes are 1, 2, 3 … without holes, given by the log. */
export interface LogEntry {
  readonly index: number
  readonly bytes: Uint8Array
  /** Where a follower goes on behind this entry: opaque, of this engine and this log only. */
  readonly token: string
}

/** The last entry that a follower has; index 0 and an empty token stand before the first. */
export interface LogPlace {
  readonly index: number
  readonly token: string
}

export interface LogFollower {
  /** One or more entries, dense and in order, each once. Called again after it returned. */
  onEntries(entries: readonly LogEntry[]): void
  /**
   * The log does not have the next entry any more: it was truncated. Nothing follows; a peer has the tail
   * or a snapshot.
   */
  onCut(): void
}

export interface SequencedLog {
  /**
   * Creates the log with this as its first entry, if there is none. Resolves to false when there is one.
   * Unknown when it rejects.
   */
  create(first: Uint8Array): Promise<boolean>
  /**
   * Which log this is: the same for as long as it lives, another one for each that was ever created.
   * Undefined when there is none. Rejects when it cannot be asked.
   */
  identity(): Promise<string | undefined>
  /**
   * Writes an entry behind all others; a majority has it on disk when it resolves. Its index is known to who
   * follows. When it rejects, it may be in the log, or come to be there later.
   */
  append(bytes: Uint8Array): Promise<void>
  /**
   * The index of the last entry: at least that of each entry whose append had resolved before the call, by
   * whatever node. Rejects when no majority answers.
   */
  head(): Promise<number>
  /**
   * Hands on what stands behind `after`, and what comes, until the returned function is called. Survives
   * the loss of connections on its own: reports each entry once, whatever is lost or repeated below.
   */
  follow(after: LogPlace, follower: LogFollower): () => void
  /** Lets the log forget the entries up to `place`. A caller has seen to it that they are kept elsewhere. */
  truncate(place: LogPlace): Promise<void>
  /** Whether this may be a place of this log, by its form. Default: any. */
  isPlace?(place: LogPlace): boolean
  /** For an engine with servers: these are asked too from now on. */
  addEndpoints?(endpoints: readonly string[]): void
  /** Ends what is under way: its promises reject. */
  close(): Promise<void>
}
