/**
 * @module Answers of a node that is cut off from the others, where the operator wants them rather than none: each says
 * that it may be old, a refusal as well (RFC 7234, 5.5.1).
 */
import { RegistryError } from '../registry/errors.ts'
import type { HttpResponse } from './engine/port.ts'
import { HeaderAdder } from './headed-response.ts'

export const staleWarning = ['Warning', '110 - "Response is Stale"'] as const

export class StaleReads {
  readonly #adder = new HeaderAdder([staleWarning])
  #count = 0

  /** How many were answered so far. */
  get count(): number {
    return this.#count
  }

  /** The response of a read, whose every head says that it may be old. */
  mark(response: HttpResponse): HttpResponse {
    this.#count += 1
    return this.#adder.wrap(response)
  }
}

/** A refusal that says so. Faults of our own stay as they are. */
export function asStale(error: unknown): unknown {
  return error instanceof RegistryError ? error.withFacts({ isStale: true }) : error
}

/** Whether it was not found out if the rows here are the newest. */
export function isLogSilent(error: unknown): boolean {
  return error instanceof RegistryError && error.kind === 'LOG_SILENT'
}
