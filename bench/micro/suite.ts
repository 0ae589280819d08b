/**
 * @module What a micro bench is: named tasks, and what has to be closed after them.
 */
export interface MicroTask {
  readonly name: string
  /** One call is one operation. */
  readonly run: () => unknown
  /** Bytes that one operation works on: the report adds MB/s. */
  readonly bytes?: number
}

export interface MicroSuite {
  readonly tasks: readonly MicroTask[]
  close?(): Promise<void>
}

/** A digest that no content has to have: sixty-four hex digits made of a number. */
export function fakeDigest(index: number): string {
  return `sha256:${index.toString(16).padStart(64, '0')}`
}

/** Keeps results alive, so that the compiler cannot leave the work out. */
export class Sink {
  value: unknown
}
