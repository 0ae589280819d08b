/**
 * @module Refusals of the admin API: RFC 9457 problem documents with the request's id, sent as plain
 * JSON like every refusal of this server. The fields
 * `errors` and `error` repeat it where clients of `/v2/` and of the first FastRegistry look.
 */
import { STATUS_CODES } from 'node:http'
import * as v from 'valibot'
import { ERRORS, type ErrorKind } from '../registry/error-kinds.ts'
import { type ErrorFacts, RegistryError } from '../registry/errors.ts'

export const problemSchema = v.object({
  type: v.string(),
  title: v.string(),
  status: v.number(),
  detail: v.string(),
  code: v.string(),
  error: v.string(),
  errors: v.array(v.object({ code: v.string(), message: v.string(), detail: v.unknown() })),
  requestId: v.string(),
  /** What exactly is wrong with which part of the request. */
  problems: v.optional(v.array(v.object({ field: v.string(), problem: v.string() }))),
  /** Facts that belong to the refusal: the current digest, the job that runs. */
  context: v.optional(v.unknown()),
})

export type Problem = v.InferOutput<typeof problemSchema>

/** A refusal of the admin API itself; the kind's row has its word for programs. */
export class AdminProblem extends RegistryError {
  readonly problems: NonNullable<Problem['problems']> | undefined

  constructor(
    kind: ErrorKind & `ADMIN_${string}`,
    more: {
      readonly message?: string
      readonly problems?: NonNullable<Problem['problems']>
      readonly context?: unknown
      readonly facts?: ErrorFacts
    } = {},
  ) {
    const { context, problems, ...options } = more
    super(kind, { ...options, detail: context })
    this.problems = problems
  }
}

export const notFound = (message: string) => new AdminProblem('ADMIN_UNKNOWN', { message })
export const conflict = (message: string) => new AdminProblem('ADMIN_CONFLICT', { message })
export const badRequest = (message: string) => new AdminProblem('ADMIN_INVALID', { message })

/** What is there. Throws 404 with the message where nothing is. */
export function orNotFound<T>(it: T | undefined, message: string): T {
  if (it === undefined) throw notFound(message)
  return it
}

/** The document of a refusal. Faults of our own tell the request id and nothing else. */
export function toProblem(known: RegistryError, requestId: string): Problem {
  const isOurs = known.code === 'UNKNOWN'
  const detail = isOurs ? ERRORS.UNKNOWN.message : known.message
  const problems = known instanceof AdminProblem ? known.problems : undefined
  return {
    type: 'about:blank',
    title: STATUS_CODES[known.status] ?? 'Error',
    status: known.status,
    detail,
    code: known.word,
    error: detail,
    errors: [{ code: known.code, message: detail, detail: isOurs ? null : (known.detail ?? null) }],
    requestId,
    ...(problems === undefined ? {} : { problems }),
    ...(isOurs || known.detail === undefined ? {} : { context: known.detail }),
  }
}
