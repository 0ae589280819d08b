/**
 * @module What a mirror counts. Plain numbers: rendered only when somebody looks.
 */
import { FIRST_BYTE_BOUNDS } from '../observability/metrics/mirrors.ts'
import { FAILURES, type Failure } from '../upstream/error.ts'

export class MirrorStats {
  /** Pulls answered from what is stored. */
  hits = 0
  /** Pulls that went upstream. */
  misses = 0
  /** Pulls that joined somebody else's miss. */
  joined = 0
  /** Pulls answered although upstream could not be asked. */
  stale = 0
  /** Pulls refused because upstream said a moment ago that there is nothing. */
  negative = 0
  /** Answers that went through without being stored. */
  passed = 0
  /** Blobs taken out to make room, and their bytes. */
  evicted = 0
  evictedBytes = 0
  /** Manifests that nobody had used for longer than those blobs. */
  evictedManifests = 0
  headRequests = 0
  getRequests = 0
  /** Body bytes from upstream, and bytes of hits that did not have to come from there. */
  upstreamBytes = 0
  savedBytes = 0
  readonly failures: Record<Failure, number>
  readonly firstByteBuckets = new Float64Array(FIRST_BYTE_BOUNDS.length + 1)
  firstByteSeconds = 0

  constructor() {
    const zero = FAILURES.map((failure) => [failure, 0])
    this.failures = Object.fromEntries(zero) as Record<Failure, number>
  }

  firstByte(seconds: number): void {
    let bucket = 0
    while (bucket < FIRST_BYTE_BOUNDS.length && seconds > FIRST_BYTE_BOUNDS[bucket]!) bucket += 1
    this.firstByteBuckets[bucket]! += 1
    this.firstByteSeconds += seconds
  }

  /** How many first bytes took at most each bound, and how many there were. */
  firstBytesWithin(): number[] {
    let sum = 0
    return Array.from(this.firstByteBuckets, (count) => {
      sum += count
      return sum
    })
  }
}
