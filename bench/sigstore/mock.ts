/**
 * @module The one file that imports @sigstore/mock, which names some of its types nowhere.
 */
import { initializeCA, initializeCTLog, initializeTLog, initializeTSA } from '@sigstore/mock'

type Made<F extends (...args: never[]) => Promise<unknown>> = Awaited<ReturnType<F>>

export type CA = Made<typeof initializeCA>
export type CTLog = Made<typeof initializeCTLog>
export type TLog = Made<typeof initializeTLog>
export type TSA = Made<typeof initializeTSA>

export { initializeCA, initializeCTLog, initializeTLog, initializeTSA }
