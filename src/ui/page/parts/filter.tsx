/**
 * @module The filter box above a list. What is typed is in the address, shortly after the last key.
 */
import { useEffect, useRef } from 'preact/hooks'
import { setQuery } from '../core/router.ts'

/** Time without a key before the server is asked, ms. */
const restMs = 180

export function Filter({
  label,
  value,
  name = 'q',
}: {
  readonly label: string
  readonly value: string
  readonly name?: string
}) {
  const timer = useRef<number | undefined>(undefined)
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => () => clearTimeout(timer.current), [])
  // The address changed by a link, and not by what is typed here.
  useEffect(() => {
    const it = field.current!
    if (document.activeElement !== it) it.value = value
  }, [value])
  return (
    <input
      type="search"
      ref={field}
      class="filter"
      placeholder={label}
      aria-label={label}
      defaultValue={value}
      onInput={(event) => {
        const text = event.currentTarget.value.trim()
        clearTimeout(timer.current)
        timer.current = setTimeout(() => setQuery({ [name]: text }), restMs)
      }}
    />
  )
}

/** What the fields `q` and `sort` of an address mean to a list. */
export function sortingOf(query: URLSearchParams, fallback: string) {
  const sort = query.get('sort') ?? fallback
  return {
    sort,
    by: sort.replace(/^-/, ''),
    isDescending: sort.startsWith('-'),
    onChange: (by: string, isDescending: boolean) =>
      setQuery({ sort: `${isDescending ? '-' : ''}${by}` }),
  }
}
