/**
 * @module Mixed traffic of continuous integration as a list of operations: three pulls for each push,
 * in an order that a seed decides. The list and every digest are made before the clock starts.
 */
import { type Blob, withDigest } from './content.ts'
import { seededDraw, shuffled } from './random.ts'

export type Operation =
  /** Of what is there at that moment, the blob at this share of the list (0 to 1). */
  { readonly kind: 'pull'; readonly draw: number } | { readonly kind: 'push'; readonly blob: Blob }

export interface Traffic {
  /** What is there before. */
  readonly stock: readonly Blob[]
  readonly operations: readonly Operation[]
}

/** One push in so many operations. */
const operationsPerPush = 4

export function makeTraffic(
  seed: number,
  sizeBytes: number,
  stockCount: number,
  operationCount: number,
): Traffic {
  const blob = (index: number) => withDigest({ seed: seed + index, sizeBytes })
  const draw = seededDraw(seed)
  const pushes = Math.round(operationCount / operationsPerPush)
  const operations = Array.from(
    { length: operationCount },
    (_, index): Operation =>
      index < pushes
        ? { kind: 'push', blob: blob(stockCount + index) }
        : { kind: 'pull', draw: draw() },
  )
  return {
    stock: Array.from({ length: stockCount }, (_, index) => blob(index)),
    operations: shuffled(operations, draw),
  }
}
