/**
 * @module Where the reader is: the fragment of the address, read and written.
 */
import { computed, signal } from '@preact/signals'
import { type Fields, parseFragment, withQuery } from './fragment.ts'

export { toImage, toRepository, toScreen } from './fragment.ts'

const fragment = signal(location.hash)
addEventListener('hashchange', () => {
  fragment.value = location.hash
})

export const route = computed(() => parseFragment(fragment.value))

export function go(to: string): void {
  location.hash = to
}

/** Changes fields of this screen's address. Typing replaces, so that *back* leaves the screen. */
export function setQuery(fields: Fields): void {
  const { query } = route.peek()
  const all: Record<string, string | undefined> = { ...Object.fromEntries(query), ...fields }
  const [path = ''] = fragment.peek().replace(/^#\/?/, '').split('?')
  history.replaceState(null, '', withQuery(path, all))
  fragment.value = location.hash
}
