/**
 * @module Reads CPU profiles as V8 writes them and says where the time went: self time by function.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

interface ProfileNode {
  readonly id: number
  readonly callFrame: {
    readonly functionName: string
    readonly url: string
    readonly lineNumber: number
  }
}

export interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
  /** Node on top of the stack at each sample, and the µs since the sample before. */
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface SelfTime {
  /** `name file:line`; `(idle)`, `(program)`, `(garbage collector)` for what is no function. */
  readonly place: string
  readonly ms: number
  /** Share of the time that was not idle. */
  readonly share: number
}

/** Self times of a profile, most first, with the thread's busy time; idle time is left out. */
export function selfTimes(profile: CpuProfile): {
  readonly busyMs: number
  readonly times: readonly SelfTime[]
} {
  const places = new Map(profile.nodes.map((node) => [node.id, placeOf(node)]))
  const micros = new Map<string, number>()
  profile.samples.forEach((id, index) => {
    const place = places.get(id) ?? '(unknown)'
    micros.set(place, (micros.get(place) ?? 0) + (profile.timeDeltas[index] ?? 0))
  })
  micros.delete('(idle)')
  const busyMs = [...micros.values()].reduce((sum, each) => sum + each, 0) / 1000
  const times = [...micros]
    .map(([place, each]) => ({ place, ms: each / 1000, share: each / 1000 / busyMs }))
    .sort((a, b) => b.ms - a.ms)
  return { busyMs, times }
}

function placeOf({ callFrame }: ProfileNode): string {
  const { functionName, url, lineNumber } = callFrame
  const name = functionName === '' ? '(anonymous)' : functionName
  if (url === '') return name
  // From the folder that says whose code it is; a profile must not tell where that folder lies.
  const file = url.replace(/^.*\/(dist|node_modules)\//, '').replace(/^file:\/\//, '')
  return `${name} ${file}:${lineNumber + 1}`
}

const functionsOfMain = 25
const functionsOfWorker = 8

/** Threads that are shown: those with the most work. */
const threadsMax = 4

/** Threads that did less only started, ms. */
const busyMsMin = 200

/** What the profiles of a folder say, thread by thread, the busiest first. */
export function describeProfiles(folder: string): string {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.cpuprofile'))
    .map((name) => {
      const profile = JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile
      return { name, ...selfTimes(profile) }
    })
    .filter(({ busyMs }) => busyMs > busyMsMin)
    .sort((a, b) => b.busyMs - a.busyMs)
    .slice(0, threadsMax)
    .map(({ name, busyMs, times }) => {
      // CPU.<date>.<time>.<pid>.<thread>.<number>.cpuprofile
      const thread = name.split('.')[4]
      const isMain = thread === '0'
      const head = `${isMain ? 'main thread' : `worker ${thread}`}: busy ${busyMs.toFixed(0)} ms (${name})`
      const lines = times
        .slice(0, isMain ? functionsOfMain : functionsOfWorker)
        .map(({ place, ms, share }) => {
          const percent = `${(share * 100).toFixed(1)}%`.padStart(6)
          return `  ${percent} ${ms.toFixed(0).padStart(7)} ms  ${place}`
        })
      return [head, ...lines].join('\n')
    })
    .join('\n')
}
