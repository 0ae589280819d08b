/**
 * @module Values in running text: times, sizes, digests, and the button that copies.
 */
import { useState } from 'preact/hooks'
import { exact, number, relative, shortDigest, size } from '../core/format.ts'
import { texts } from '../messages/catalogue.ts'
import { Icon } from './icon.tsx'
import { say } from './notice.tsx'

export function Time({ at }: { readonly at: string | undefined }) {
  if (at === undefined) return <span class="dim">{texts.value.never}</span>
  return (
    <time dateTime={at} title={exact(at)}>
      {relative(at)}
    </time>
  )
}

export function Size({ bytes }: { readonly bytes: number | undefined }) {
  if (bytes === undefined) return <span class="dim">–</span>
  return (
    <span class="number" title={texts.value.bytes(number(bytes))}>
      {size(bytes)}
    </span>
  )
}

export function Digest({ of }: { readonly of: string }) {
  return (
    <code class="digest" title={of}>
      {shortDigest(of)}
    </code>
  )
}

export function Copy({ text, label }: { readonly text: string; readonly label?: string }) {
  const t = texts.value
  const [isDone, setDone] = useState(false)
  return (
    <button
      type="button"
      class="icon-button"
      title={isDone ? t.copied : (label ?? t.copyWhat(text))}
      aria-label={label ?? t.copyWhat(text)}
      onClick={(event) => {
        event.stopPropagation()
        void copied(text).then(setDone)
      }}
      onBlur={() => setDone(false)}
    >
      <Icon name={isDone ? 'check' : 'copy'} />
    </button>
  )
}

/** Copies, and says so at the foot. */
export function copyText(text: string): void {
  void copied(text)
}

/** A browser on plain HTTP has no clipboard: there a field is selected and copied. */
async function copied(text: string): Promise<boolean> {
  const isDone = await navigator.clipboard?.writeText(text).then(
    () => true,
    () => false,
  )
  const isCopied = isDone === true || copyBySelection(text)
  if (isCopied) say(texts.peek().copied)
  return isCopied
}

function copyBySelection(text: string): boolean {
  const before = document.activeElement
  const field = document.createElement('textarea')
  field.value = text
  field.className = 'off-screen'
  // A modal dialog makes all else inert.
  const host = document.querySelector('dialog[open]') ?? document.body
  host.append(field)
  field.select()
  const isCopied = document.execCommand('copy')
  field.remove()
  if (before instanceof HTMLElement) before.focus({ preventScroll: true })
  return isCopied
}
