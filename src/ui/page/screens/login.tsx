/**
 * @module The login: name and password (or a token), and why it was refused.
 */
import { useState } from 'preact/hooks'
import { Refusal } from '../core/api.ts'
import { logIn } from '../core/session.ts'
import { registryTitle } from '../core/settings.ts'
import { texts } from '../messages/catalogue.ts'

export function Login({ hasEnded }: { readonly hasEnded: boolean }) {
  const t = texts.value
  const [problem, setProblem] = useState<string | undefined>(undefined)
  const [isBusy, setBusy] = useState(false)
  const submit = async (event: Event) => {
    event.preventDefault()
    const { elements } = event.currentTarget as HTMLFormElement
    const field = (name: string) => elements.namedItem(name) as HTMLInputElement
    setBusy(true)
    setProblem(undefined)
    try {
      await logIn(field('user').value, field('password').value)
    } catch (error) {
      setProblem(messageOf(error, t))
      setBusy(false)
      field('password').select()
    }
  }
  return (
    <main class="login">
      <form onSubmit={submit}>
        <h1>
          <span class="logo" aria-hidden="true" />
          {registryTitle}
        </h1>
        {hasEnded && problem === undefined && <p role="status">{t.sessionEnded}</p>}
        <label class="field">
          <span>{t.user}</span>
          <input name="user" autocomplete="username" autocapitalize="none" required />
        </label>
        <label class="field">
          <span>{t.password}</span>
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        {problem !== undefined && (
          <p class="problem" role="alert">
            {problem}
          </p>
        )}
        <button type="submit" class="strong" disabled={isBusy}>
          {t.logIn}
        </button>
      </form>
    </main>
  )
}

function messageOf(error: unknown, t: typeof texts.value): string {
  if (!(error instanceof Refusal)) return String(error)
  if (error.status === 0) return t.noAnswer
  if (error.status === 401) return t.wrongLogin
  const wait = error.retryAfter === undefined ? '' : ` ${t.waitSeconds(error.retryAfter)}`
  return `${error.message}${wait}`
}
