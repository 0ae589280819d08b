/**
 * @module Dialogs: one at a time, modal, closed by Escape. The browser gives the focus back.
 */
import { signal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { texts } from '../messages/catalogue.ts'
import { Icon } from './icon.tsx'

const open = signal<{ readonly title: string; readonly body: () => ComponentChildren } | undefined>(
  undefined,
)

export function showDialog(title: string, body: () => ComponentChildren): void {
  open.value = { title, body }
}

export function closeDialog(): void {
  open.value = undefined
}

export function DialogHost() {
  const shown = open.value
  return shown === undefined ? null : <Shown title={shown.title} body={shown.body} />
}

function Shown({
  title,
  body,
}: {
  readonly title: string
  readonly body: () => ComponentChildren
}) {
  const element = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const it = element.current!
    it.showModal()
    return () => it.close()
  }, [])
  return (
    <dialog ref={element} aria-labelledby="dialog-title" onClose={closeDialog}>
      <header>
        <h2 id="dialog-title">{title}</h2>
        <button
          type="button"
          class="icon-button"
          aria-label={texts.value.close}
          onClick={() => element.current?.close()}
        >
          <Icon name="close" />
        </button>
      </header>
      {body()}
    </dialog>
  )
}
