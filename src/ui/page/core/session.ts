/**
 * @module Who looks at the pages, and what the caller may do. The server decides every request by itself;
 * the pages leave out what it would refuse.
 */
import { signal } from '@preact/signals'
import type { Right, Session } from './answers.ts'
import { call, Refusal } from './api.ts'
import { fits } from './patterns.ts'

export type Standing =
  | { readonly kind: 'asking' }
  | { readonly kind: 'out'; readonly wasIn: boolean }
  | { readonly kind: 'in'; readonly session: Session }
  | { readonly kind: 'broken'; readonly error: Refusal }

export const standing = signal<Standing>({ kind: 'asking' })

/** Asks who the caller is. An anonymous caller with a right somewhere is in. */
export async function askSession(): Promise<void> {
  const wasIn = standing.peek().kind === 'in'
  try {
    enter(await call<Session>('GET', 'admin/session'), wasIn)
  } catch (error) {
    const refusal = error instanceof Refusal ? error : new Refusal(0, '')
    const isOut = refusal.status === 401 || refusal.status === 403
    standing.value = isOut ? { kind: 'out', wasIn } : { kind: 'broken', error: refusal }
  }
}

/** Rejects with the refusal: wrong, too many tries, no answer. */
export async function logIn(user: string, password: string): Promise<void> {
  enter(await call<Session>('POST', 'admin/session', { body: { user, password } }), false)
}

/** A caller without a login who may nothing is out. */
function enter(session: Session, wasIn: boolean): void {
  const isOut = session.kind === 'anonymous' && session.rights.every((one) => !one.actions.length)
  standing.value = isOut ? { kind: 'out', wasIn } : { kind: 'in', session }
}

/** Ends the login everywhere. */
export async function logOut(): Promise<void> {
  await call('DELETE', 'admin/session').catch(() => undefined)
  standing.value = { kind: 'out', wasIn: false }
}

export function sessionOf(): Session | undefined {
  const now = standing.value
  return now.kind === 'in' ? now.session : undefined
}

/** Whether this server has it, by the names of `/admin/session`. */
export const has = (feature: string) => sessionOf()?.features[feature] === true

export const isAdmin = () => sessionOf()?.isAdmin === true

/** Whether the caller may do it there, by the first rule that fits, and within the login's limits. */
export function may(action: string, repository: string): boolean {
  const session = sessionOf()
  if (session === undefined) return false
  if (session.isAdmin) return true
  const allows = (rights: readonly Right[]) =>
    rights.find((right) => right.repositories.some((one) => fits(one, repository)))
  const right = allows(session.rights)
  if (right?.actions.includes(action) !== true) return false
  const { limits } = session
  return (
    limits === undefined ||
    limits.some((one) => one.actions.includes(action) && allows([one]) !== undefined)
  )
}
