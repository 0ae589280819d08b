/**
 * @module Keys that work on every screen: `/` search, `g` and a letter for a screen, `?` the list of them.
 * They can be switched off, for those who speak to their browser.
 * @apart what keys do is no matter of the frame
 */

import { texts } from '../messages/catalogue.ts'
import { showDialog } from '../parts/dialog.tsx'
import { KeyList } from '../screens/preferences.tsx'
import { toScreen } from './router.ts'
import { keys } from './settings.ts'

const GO: Readonly<Record<string, string>> = { h: 'home', r: 'repositories', a: 'activity' }

/** Time for the second letter, ms. */
const secondMs = 1_200

/** Returns what stops it. */
export function listenToKeys(): () => void {
  let startedAt = Number.NEGATIVE_INFINITY
  const onKey = (event: KeyboardEvent) => {
    if (keys.value !== 'on' || event.ctrlKey || event.metaKey || event.altKey) return
    const { target } = event
    const isTyping =
      target instanceof HTMLElement && /^(?:INPUT|SELECT|TEXTAREA)$/.test(target.tagName)
    const isCheckbox = target instanceof HTMLInputElement && target.type === 'checkbox'
    if ((isTyping && !isCheckbox) || document.querySelector('dialog[open]') !== null) return
    const isSecond = event.timeStamp - startedAt < secondMs
    startedAt = Number.NEGATIVE_INFINITY
    if (isSecond && Object.hasOwn(GO, event.key)) location.hash = toScreen(GO[event.key]!)
    else if (event.key === 'g') startedAt = event.timeStamp
    else if (event.key === '/') document.getElementById('search')?.focus()
    else if (event.key === '?') showDialog(texts.value.keyList, KeyList)
    else return
    event.preventDefault()
  }
  addEventListener('keydown', onKey)
  return () => removeEventListener('keydown', onKey)
}
