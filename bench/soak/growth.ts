/**
 * @module Whether something grew over a long run: medians of the second quarter against those of the
 * last, with room for noise.
 */

/** What is watched, at one moment. */
export interface Sample {
  readonly anonMiB: number
  readonly descriptors: number
  readonly mappedMiB: number
  readonly openUploads: number
  readonly p99Ms: number
}

export interface Growth {
  readonly what: keyof Sample
  readonly before: number
  readonly after: number
  readonly isBad: boolean
}

/** What may come on top without being a leak: a share of what was there, and a little. */
const ALLOWED: Readonly<Record<keyof Sample, { readonly share: number; readonly plus: number }>> = {
  anonMiB: { share: 0.1, plus: 15 },
  // An upload that nobody has ended yet holds one, and how many there are is chance.
  descriptors: { share: 0.25, plus: 10 },
  mappedMiB: { share: 0.1, plus: 16 },
  openUploads: { share: 0.5, plus: 20 },
  p99Ms: { share: 1, plus: 10 },
}

/** One entry a figure. Throws when there are too few samples to say anything. */
export function judgeGrowth(samples: readonly Sample[]): readonly Growth[] {
  const quarter = Math.floor(samples.length / 4)
  if (quarter < 3) throw new Error(`${samples.length} samples are too few`)
  const early = samples.slice(quarter, 2 * quarter)
  const late = samples.slice(-quarter)
  return (Object.keys(ALLOWED) as (keyof Sample)[]).map((what) => {
    const before = median(early.map((sample) => sample[what]))
    const after = median(late.map((sample) => sample[what]))
    const { share, plus } = ALLOWED[what]
    return { what, before, after, isBad: after > before * (1 + share) + plus }
  })
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
}
