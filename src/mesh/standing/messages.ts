/**
 * @module What nodes ask each other about how their copies stand:
 *
 *   POST …/copies/standing  the figures of the last pass, and pins; `figures` null: not known yet
 *   POST …/copies/repair    a pass begins now
 *   POST …/copies/one       the copy of one blob; null: there is none
 *   POST …/copies/groups    the figures of placement groups; null: not known yet
 *   POST …/copies/only      how many copies are here that no other member has, by a look at their disks now
 */
import * as v from 'valibot'
import type { Digest } from '../../registry/digest.ts'
import { DigestText } from '../blobs/protocol.ts'
import { groupCount } from '../placement.ts'

export const standingPaths = {
  groups: '/internal/v1/copies/groups',
  standing: '/internal/v1/copies/standing',
  repair: '/internal/v1/copies/repair',
  one: '/internal/v1/copies/one',
  only: '/internal/v1/copies/only',
} as const

/** Of a question, bytes. */
export const questionBytesMax = 4_096
/** Until an answer from memory, ms: who looks at a list waits for it. */
export const shortMs = 2_000
/** Until all other members have looked for all copies of one, ms. */
export const onlyMs = 120_000

const Whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const Amount = v.strictObject({ blobs: Whole, bytes: Whole })

/** Questions without a word. */
export const Nothing = v.custom<object>(
  (it) =>
    typeof it === 'object' && it !== null && !Array.isArray(it) && Object.keys(it).length === 0,
)

export const StandingAnswer = v.strictObject({
  pins: Whole,
  figures: v.nullable(
    v.strictObject({
      owned: Amount,
      lacking: Amount,
      kept: Amount,
      cached: Amount,
      pass: Whole,
      countedAt: Whole,
    }),
  ),
})
export type StandingAnswer = v.InferOutput<typeof StandingAnswer>

export const OneQuestion: v.GenericSchema<unknown, { readonly digest: Digest }> = v.strictObject({
  digest: DigestText,
})

export const OneAnswer = v.strictObject({
  copy: v.nullable(v.strictObject({ role: v.picklist(['owner', 'cache']), bytes: Whole })),
})
export type CopyHere = NonNullable<v.InferOutput<typeof OneAnswer>['copy']>

/** Groups of one question. */
export const groupsMax = 1_000

export const GroupsQuestion = v.strictObject({
  from: v.pipe(Whole, v.maxValue(groupCount - 1)),
  count: v.pipe(Whole, v.minValue(1), v.maxValue(groupsMax)),
})

const GroupAnswer = v.strictObject({
  rows: Amount,
  owned: Amount,
  lacking: Amount,
  kept: Amount,
  cached: Amount,
})
/** In the order of the question; null: not known yet. */
export const GroupsAnswer = v.strictObject({
  groups: v.nullable(v.pipe(v.array(GroupAnswer), v.maxLength(groupsMax))),
})

export const OnlyAnswer = Amount
