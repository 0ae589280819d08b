/**
 * @module The four states of a screen beside its content: empty, loading, refused, broken. Each says the
 * next step.
 */
import type { ComponentChildren } from 'preact'
import type { Refusal } from '../core/api.ts'
import type { Loaded } from '../core/load.ts'
import { toScreen } from '../core/router.ts'
import { sessionOf } from '../core/session.ts'
import { texts } from '../messages/catalogue.ts'

export function Empty({
  title,
  children,
}: {
  readonly title: string
  readonly children?: ComponentChildren
}) {
  return (
    <div class="state">
      <h2>{title}</h2>
      {children}
    </div>
  )
}

export function Loading() {
  return (
    <div class="state loading" role="status">
      {texts.value.loading}
    </div>
  )
}

/** Refused by rights, not there, too many requests, or broken: four words, four next steps. */
export function Problem({
  error,
  retry,
}: {
  readonly error: Refusal
  readonly retry?: (() => void) | undefined
}) {
  const t = texts.value
  const { status, message, requestId, retryAfter } = error
  const isRefused = status === 401 || status === 403
  const isAbsent = status === 404 || status === 410
  const title = isRefused
    ? t.refused
    : isAbsent
      ? t.notThere
      : status === 0
        ? t.noAnswer
        : status === 429 || status === 503
          ? t.busy
          : t.broken
  const isNobody = sessionOf()?.kind === 'anonymous'
  return (
    <div class="state problem" role="alert">
      <h2>{title}</h2>
      {message !== '' && <p>{message}</p>}
      {isRefused && <p>{isNobody ? t.refusedLogIn : t.refusedAsk}</p>}
      {status === 0 && <p>{t.noAnswerStep}</p>}
      {retryAfter !== undefined && <p>{t.waitSeconds(retryAfter)}</p>}
      {requestId !== '' && (
        <p class="dim">
          {t.requestId} <code>{requestId}</code>
        </p>
      )}
      <p>
        {retry !== undefined && !isAbsent && (
          <button type="button" onClick={retry}>
            {t.tryAgain}
          </button>
        )}
        {isAbsent && <a href={toScreen('repositories')}>{t.toRepositories}</a>}
      </p>
    </div>
  )
}

/** The value once it is there, else the state that stands for it. */
export function Ready<T>({
  of,
  children,
}: {
  readonly of: Loaded<T>
  readonly children: (value: T) => ComponentChildren
}) {
  if (of.value !== undefined) return <>{children(of.value)}</>
  if (of.error !== undefined) return <Problem error={of.error} retry={of.reload} />
  return <Loading />
}
