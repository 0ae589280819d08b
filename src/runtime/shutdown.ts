/**
 * @module Signals that end the process. The first SIGTERM or SIGINT asks for a graceful stop; a
 * second one, of either kind, means that the operator does not want to wait.
 */

const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const

export type StopSignal = keyof typeof SIGNALS

/** What the shell reports for a process that a signal ended: 130 for SIGINT, 143 for SIGTERM. */
export function exitCodeOf(signal: StopSignal): number {
  return 128 + SIGNALS[signal]
}

export interface SignalSource {
  on(signal: StopSignal, listener: () => void): unknown
  off(signal: StopSignal, listener: () => void): unknown
}

export interface StopListener {
  /** Called once, with the first signal. */
  onStop(signal: StopSignal): void
  /** Called with every further signal; ends the process at once. */
  onForce(signal: StopSignal): void
}

/** Listens until the returned function is called. */
export function listenForStop(listener: StopListener, source: SignalSource = process): () => void {
  let isStopping = false
  const receive = (signal: StopSignal) => {
    if (isStopping) return listener.onForce(signal)
    isStopping = true
    listener.onStop(signal)
  }
  const onInterrupt = () => receive('SIGINT')
  const onTerminate = () => receive('SIGTERM')
  source.on('SIGINT', onInterrupt)
  source.on('SIGTERM', onTerminate)
  return () => {
    source.off('SIGINT', onInterrupt)
    source.off('SIGTERM', onTerminate)
  }
}
