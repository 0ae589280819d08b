/**
 * @module Words of an upstream, cut to a size and cleaned before anybody reads them. They come from
 * outside: everything here takes one pass over a text whose length was bounded first.
 */

/** Most characters of an answer that are looked at. */
const lookedAtMax = 16 * 1024

/** Errors of one answer that are passed on. */
const errorsMax = 8

/** Longest code of an error. */
const codeLengthMax = 64

export interface UpstreamWords {
  /** Code of the first error, in the shape of the distribution specification; else undefined. */
  readonly code: string | undefined
  /** What can be shown: the messages of an error body, or its beginning without markup. */
  readonly text: string
}

/** Reads the body of a refusal. */
export function readErrorBody(body: string): UpstreamWords {
  const text = body.slice(0, lookedAtMax)
  const errors = errorsOf(text)
  if (errors.length === 0) return { code: undefined, text: plain(text) }
  const parts = errors.slice(0, errorsMax).map(({ code, message }) => `${code}: ${message}`)
  return { code: codeOf(errors[0]!.code), text: plain(parts.join('; ')) }
}

/** The one word that a token server may say to clients: the code of its refusal. */
export function readTokenRefusal(body: string): string | undefined {
  const text = body.slice(0, lookedAtMax)
  const code = codeOf(errorsOf(text)[0]?.code)
  if (code !== undefined) return code
  const error = objectOf(text)?.['error']
  return typeof error === 'string' ? codeOf(error) : undefined
}

function errorsOf(text: string): { readonly code: string; readonly message: string }[] {
  const errors = objectOf(text)?.['errors']
  if (!Array.isArray(errors)) return []
  return errors.flatMap((error: unknown) => {
    const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
    if (typeof code !== 'string' && typeof message !== 'string') return []
    return [{ code: textOf(code), message: textOf(message) }]
  })
}

function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(text)
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : '')

function codeOf(text: string | undefined): string | undefined {
  if (text === undefined || text.length > codeLengthMax) return undefined
  return /^[A-Za-z_]+$/.test(text) ? text : undefined
}

/** Without tags and control characters, blanks run together. */
export function plain(text: string): string {
  let shown = ''
  let isTag = false
  let isBlank = true
  for (const character of text) {
    if (isTag) {
      isTag = character !== '>'
      continue
    }
    const code = character.charCodeAt(0)
    isTag = character === '<'
    if (isTag || code <= 0x20 || code === 0x7f) {
      if (!isBlank) shown += ' '
      isBlank = true
      continue
    }
    shown += character
    isBlank = false
  }
  return shown.trimEnd()
}
