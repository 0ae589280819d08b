/**
 * @module The texts of the pages in the language of the reader. English is always there, others are
 * loaded when they are chosen. The compiler holds every catalogue against the English one.
 */
import { effect, signal } from '@preact/signals'
import { chosenLanguage } from '../core/settings.ts'
import { en, type Messages } from './en.ts'

export type { Messages } from './en.ts'

export const texts = signal<Messages>(en)
/** A tag of BCP 47, for dates and numbers too. */
export const language = signal('en')

const LOADERS: Readonly<Record<string, () => Promise<Messages>>> = {
  de: async () => (await import('./de.ts')).de,
}

function wanted(): string {
  const chosen = chosenLanguage.value
  if (chosen !== 'system') return chosen
  const known = navigator.languages.map((one) => one.slice(0, 2).toLowerCase())
  return known.find((one) => one === 'en' || Object.hasOwn(LOADERS, one)) ?? 'en'
}

/** Resolves when the texts of the first screen are there. */
export async function chooseLanguage(): Promise<void> {
  const name = wanted()
  const load = Object.hasOwn(LOADERS, name) ? LOADERS[name] : undefined
  const messages = load === undefined ? en : await load().catch(() => en)
  if (name !== wanted()) return
  texts.value = messages
  language.value = messages === en ? 'en' : name
  document.documentElement.lang = language.value
}

effect(() => {
  if (chosenLanguage.value !== '') void chooseLanguage()
})
