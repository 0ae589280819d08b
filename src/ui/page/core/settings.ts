/**
 * @module What a reader has chosen in this browser: theme, language, keys, the tool of pull commands.
 * Kept in the browser's storage where it allows that.
 */
import { effect, signal } from '@preact/signals'

function kept(name: string, fallback: string) {
  const key = `fastregistry.${name}`
  const value = signal(read(key) ?? fallback)
  effect(() => {
    try {
      localStorage.setItem(key, value.value)
    } catch {
      // A browser without storage forgets it with the tab.
    }
  })
  return value
}

function read(key: string): string | undefined {
  try {
    return localStorage.getItem(key) ?? undefined
  } catch {
    return undefined
  }
}

/** `system`, `light` or `dark`. */
export const theme = kept('theme', 'system')
/** `system`, `en` or `de`. */
export const chosenLanguage = kept('language', 'system')
/** `on` or `off`: keys of one letter. */
export const keys = kept('keys', 'on')
/** What *copy* puts before a reference. */
export const tool = kept('tool', 'reference')

effect(() => {
  document.documentElement.dataset['theme'] = theme.value
})

const meta = (name: string) =>
  document.querySelector<HTMLMetaElement>(`meta[name="${name}"]`)?.content ?? ''

export const registryTitle = meta('registry-title')
/** As references of images begin. */
export const registryAddress = meta('registry-address') || location.host

/** Narrow screens get two lines a row. */
const narrow = matchMedia('(max-width: 700px)')
export const isNarrow = signal(narrow.matches)
narrow.addEventListener('change', (event) => {
  isNarrow.value = event.matches
})
