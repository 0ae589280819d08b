/**
 * @module One answer of the API in a screen: loading, there, or refused. What was there stays while the
 * same is asked again.
 */
import { useCallback, useEffect, useState } from 'preact/hooks'
import { Refusal } from './api.ts'

export interface Loaded<T> {
  readonly value: T | undefined
  readonly error: Refusal | undefined
  readonly isLoading: boolean
  readonly reload: () => void
}

/** `key` says what is asked for: another one begins from nothing, `undefined` asks nothing. */
export function useLoaded<T>(
  key: string | undefined,
  load: (stop: AbortSignal) => Promise<T>,
): Loaded<T> {
  const [state, setState] = useState<{
    readonly key: string | undefined
    readonly value?: T
    readonly error?: Refusal
  }>({ key: undefined })
  const [round, setRound] = useState(0)
  const [isLoading, setLoading] = useState(key !== undefined)
  useEffect(() => {
    if (key === undefined) return
    const stop = new AbortController()
    setLoading(true)
    load(stop.signal)
      .then(
        (value) => setState({ key, value }),
        (error: unknown) => {
          if (stop.signal.aborted) return
          setState({ key, error: error instanceof Refusal ? error : new Refusal(0, String(error)) })
        },
      )
      .finally(() => {
        if (!stop.signal.aborted) setLoading(false)
      })
    return () => stop.abort()
  }, [key, round])
  const reload = useCallback(() => setRound((it) => it + 1), [])
  const isCurrent = state.key === key
  return {
    value: isCurrent ? state.value : undefined,
    error: isCurrent ? state.error : undefined,
    isLoading: isLoading || !isCurrent,
    reload,
  }
}
