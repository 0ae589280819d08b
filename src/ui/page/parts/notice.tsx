/**
 * @module What the pages report at their foot: a word that fades, and the bar that takes a deletion
 * back. Screen readers hear both.
 */
import { signal } from '@preact/signals'
import { texts } from '../messages/catalogue.ts'
import { Icon } from './icon.tsx'

export interface Undoable {
  readonly text: string
  /** Rejects with the refusal. */
  readonly undo: () => Promise<string>
}

const word = signal('')
const bar = signal<Undoable | undefined>(undefined)
const state = signal<'ready' | 'busy' | string>('ready')
let fading: number | undefined

const shownMs = 4_000

/** A short word that goes by itself. */
export function say(text: string): void {
  word.value = text
  clearTimeout(fading)
  fading = setTimeout(() => {
    word.value = ''
  }, shownMs)
}

/** Stays until it is used or closed. */
export function offerUndo(undoable: Undoable): void {
  state.value = 'ready'
  bar.value = undoable
}

async function runUndo(): Promise<void> {
  const undoable = bar.peek()
  if (undoable === undefined || state.peek() === 'busy') return
  state.value = 'busy'
  try {
    const text = await undoable.undo()
    bar.value = undefined
    say(text)
  } catch (error) {
    state.value = error instanceof Error && error.message !== '' ? error.message : '?'
  }
}

export function Notices() {
  const t = texts.value
  const undoable = bar.value
  const isProblem = !['ready', 'busy'].includes(state.value)
  return (
    <div class="notices">
      <div role="status">{word.value !== '' && <p class="toast">{word.value}</p>}</div>
      <div role="status">
        {undoable !== undefined && (
          <div class="undo-bar">
            <span>{isProblem ? t.undoFailed(state.value) : undoable.text}</span>
            <button
              type="button"
              class="strong"
              disabled={state.value === 'busy'}
              onClick={runUndo}
            >
              {t.undo}
            </button>
            <button
              type="button"
              class="icon-button"
              aria-label={t.close}
              onClick={() => {
                bar.value = undefined
              }}
            >
              <Icon name="close" />
            </button>
          </div>
        )}
      </div>
    </div>
  )
}
