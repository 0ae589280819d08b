/**
 * @module A list of any length in a window: rows have one height, so only those in sight are in the
 * document. By the grid pattern of WAI-ARIA: the list has the focus, one row is active, Space picks,
 * Shift extends, Enter opens.
 */
import { type Signal, useSignal } from '@preact/signals'
import type { ComponentChildren, TargetedKeyboardEvent } from 'preact'
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import type { Pages } from '../core/pages.ts'
import { isNarrow, keys } from '../core/settings.ts'
import { texts } from '../messages/catalogue.ts'
import { Icon } from './icon.tsx'
import { Loading, Problem } from './states.tsx'

export interface Column<R> {
  readonly id: string
  readonly title: string
  /** A width of CSS grid: `1fr`, `90px`. */
  readonly width: string
  /** The word of the server's order; absent: no order by it. */
  readonly sort?: string
  readonly isNumber?: true
  /** Shown on narrow screens too. */
  readonly isMain?: true
  readonly cell: (row: R) => ComponentChildren
}

export interface Sorting {
  readonly by: string
  readonly isDescending: boolean
  readonly onChange: (by: string, isDescending: boolean) => void
}

interface ListProps<R> {
  readonly label: string
  readonly columns: readonly Column<R>[]
  readonly pages: Pages<R>
  readonly keyOf: (row: R) => string
  readonly sorting: Sorting
  /** Keys of picked rows; absent: nothing can be picked. */
  readonly picked?: Signal<ReadonlySet<string>>
  /** The second line of a row on narrow screens. */
  readonly below?: (row: R) => ComponentChildren
  readonly onOpen: (row: R) => void
  /** Further keys on the active row: `c` copies. */
  readonly onKey?: (key: string, row: R) => void
  readonly empty: ComponentChildren
}

/** Chromium draws no element above 33 million pixels, others half of it: longer lists are scaled. */
const heightMax = 12_000_000
const overscan = 5

export function WindowList<R>(props: ListProps<R>) {
  const pages = useSettled(props.pages)
  const { label, columns, sorting, picked, empty } = props
  const box = useRef<HTMLDivElement>(null)
  const view = useView(pages, box)
  const { isReady, total, drawn, first, rowHeight, active } = view
  const error = pages.error.value
  if (error !== undefined && !isReady) {
    return <Problem error={error} retry={() => pages.reload()} />
  }
  if (!isReady) return <Loading />
  if (total === 0) return <>{empty}</>
  const shown = isNarrow.value ? columns.filter(({ isMain }) => isMain) : columns
  const pickColumn = picked === undefined ? [] : ['34px']
  const template = [...pickColumn, ...shown.map(({ width }) => width)].join(' ')
  const list = { ...props, pages }
  const moves = movesOf(list, view, box)
  const rows: ComponentChildren[] = []
  for (let index = first; index < view.last; index++) {
    const more = { index, template, shown, moves, y: view.placeOf(index) }
    rows.push(<Row key={index} list={list} isActive={index === active.value} {...more} />)
  }
  return (
    <div
      class="list"
      ref={box}
      role="grid"
      tabIndex={0}
      aria-label={label}
      aria-rowcount={total + 1}
      aria-colcount={shown.length + pickColumn.length}
      aria-multiselectable={picked !== undefined}
      aria-activedescendant={`row-${active.value}`}
      aria-busy={pages.row(first) === undefined}
      data-row-height={rowHeight}
      onKeyDown={moves.onKeyDown}
      onScroll={(event) => {
        view.top.value = event.currentTarget.scrollTop
      }}
    >
      <div
        class="row head"
        role="row"
        tabIndex={-1}
        aria-rowindex={1}
        style={{ gridTemplateColumns: template }}
      >
        {picked !== undefined && (
          <span role="columnheader" tabIndex={-1}>
            <span class="off-screen">{texts.value.picked}</span>
          </span>
        )}
        {shown.map((column) => (
          <Head key={column.id} column={column} sorting={sorting} />
        ))}
      </div>
      <div class="rows" role="rowgroup" style={{ height: `${drawn}px` }}>
        {rows}
      </div>
    </div>
  )
}

/** The rows of before, until those of a new order or filter are there: the list keeps the focus. */
function useSettled<R>(pages: Pages<R>): Pages<R> {
  const shown = useRef(pages)
  if (pages.version.value > 0 || pages.error.value !== undefined) shown.current = pages
  return shown.current
}

/** What is in sight: rows from `first` to `last`, in an element that is `drawn` pixels high. */
function useView<R>(pages: Pages<R>, box: { readonly current: HTMLDivElement | null }) {
  const top = useSignal(0)
  const height = useSignal(480)
  const active = useSignal(0)
  const anchor = useSignal(0)
  const rowHeight = isNarrow.value ? 58 : 36
  const total = pages.total.value ?? 0
  const full = total * rowHeight
  const drawn = Math.min(full, heightMax)
  const scale = full > drawn ? (full - height.value) / Math.max(1, drawn - height.value) : 1
  const from = top.value * scale
  const first = Math.max(0, Math.floor(from / rowHeight) - overscan)
  const last = Math.min(total, Math.ceil((from + height.value) / rowHeight) + overscan)
  const isReady = pages.version.value > 0
  useLayoutEffect(() => {
    const it = box.current
    if (it === null) return
    const observer = new ResizeObserver(() => {
      height.value = it.clientHeight
    })
    observer.observe(it)
    return () => observer.disconnect()
  }, [isReady, height, box])
  useEffect(() => {
    if (isReady) pages.want(first, last)
  }, [first, last, pages, isReady])
  // A new order or filter begins at its top.
  useEffect(() => {
    active.value = 0
    box.current?.scrollTo(0, 0)
    return () => pages.stop()
  }, [pages, active, box])
  const placeOf = (index: number) => index * rowHeight - from + top.value
  return {
    isReady,
    total,
    drawn,
    scale,
    first,
    last,
    rowHeight,
    height,
    top,
    active,
    anchor,
    placeOf,
  }
}

type View = ReturnType<typeof useView>
type Moves = ReturnType<typeof movesOf>

/** What keys and clicks do. */
function movesOf<R>(
  { pages, keyOf, picked, onOpen, onKey }: ListProps<R>,
  { total, scale, rowHeight, height, active, anchor }: View,
  box: { readonly current: HTMLDivElement | null },
) {
  const reveal = (index: number) => {
    const it = box.current!
    const at = index * rowHeight
    const now = it.scrollTop * scale
    // The head of the list covers one row.
    const end = at + 2 * rowHeight
    if (at < now) it.scrollTop = at / scale
    else if (end > now + it.clientHeight) it.scrollTop = (end - it.clientHeight) / scale
  }
  const pick = (index: number, isRange: boolean) => {
    const row = pages.row(index)
    if (picked === undefined || row === undefined) return
    const next = new Set(picked.value)
    if (isRange) {
      const [from, to] = [Math.min(anchor.value, index), Math.max(anchor.value, index)]
      for (let at = from; at <= to; at++) {
        const one = pages.row(at)
        if (one !== undefined) next.add(keyOf(one))
      }
    } else {
      const key = keyOf(row)
      if (!next.delete(key)) next.add(key)
      anchor.value = index
    }
    picked.value = next
  }
  const moveTo = (index: number, isRange: boolean) => {
    const next = Math.max(0, Math.min(total - 1, index))
    active.value = next
    reveal(next)
    if (isRange) pick(next, true)
  }
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== box.current) return
    const page = Math.max(1, Math.floor(height.value / rowHeight) - 2)
    const letters = keys.value === 'on'
    const to: Readonly<Record<string, number>> = {
      ArrowDown: active.value + 1,
      ArrowUp: active.value - 1,
      PageDown: active.value + page,
      PageUp: active.value - page,
      Home: 0,
      End: total - 1,
      ...(letters ? { j: active.value + 1, k: active.value - 1 } : {}),
    }
    const row = pages.row(active.value)
    const target = to[event.key]
    if (target !== undefined) moveTo(target, event.shiftKey)
    else if (event.key === ' ' || (letters && event.key === 'x')) pick(active.value, false)
    else if (event.key === 'Enter' && row !== undefined) onOpen(row)
    else if (letters && row !== undefined && /^[a-z]$/.test(event.key))
      return onKey?.(event.key, row)
    else return
    event.preventDefault()
  }
  const focus = () => box.current?.focus({ preventScroll: true })
  return { pick, moveTo, onKeyDown, focus, activate: (index: number) => (active.value = index) }
}

interface RowProps<R> {
  readonly list: ListProps<R>
  readonly index: number
  readonly isActive: boolean
  readonly template: string
  readonly shown: readonly Column<R>[]
  readonly moves: Moves
  /** Where it stands, pixels from the top. */
  readonly y: number
}

function Row<R>({ list, index, isActive, template, shown, moves, y }: RowProps<R>) {
  const { pages, keyOf, picked, below } = list
  const row = pages.row(index)
  const key = row === undefined ? undefined : keyOf(row)
  const isPicked = key !== undefined && picked?.value.has(key) === true
  return (
    <div
      id={`row-${index}`}
      role="row"
      tabIndex={-1}
      class={`row${isActive ? ' active' : ''}${isPicked ? ' picked' : ''}`}
      aria-rowindex={index + 2}
      aria-selected={picked === undefined ? undefined : isPicked}
      style={{ transform: `translateY(${y}px)`, gridTemplateColumns: template }}
      onMouseDown={() => moves.activate(index)}
    >
      {picked !== undefined && (
        <span role="gridcell">
          <input
            type="checkbox"
            tabIndex={-1}
            checked={isPicked}
            disabled={row === undefined}
            aria-label={texts.value.pick(key ?? '')}
            onClick={(event) => {
              moves.pick(index, event.shiftKey)
              moves.focus()
            }}
          />
        </span>
      )}
      {shown.map((column) => (
        <span role="gridcell" key={column.id} class={column.isNumber ? 'right' : undefined}>
          {row === undefined ? '…' : column.cell(row)}
          {isNarrow.value && column === shown[0] && row !== undefined && below !== undefined && (
            <span class="below">{below(row)}</span>
          )}
        </span>
      ))}
    </div>
  )
}

function Head<R>({ column, sorting }: { readonly column: Column<R>; readonly sorting: Sorting }) {
  const { sort, title, isNumber } = column
  const side = isNumber ? 'right' : undefined
  if (sort === undefined) {
    return (
      <span role="columnheader" tabIndex={-1} class={side}>
        {title}
      </span>
    )
  }
  const isOn = sorting.by === sort
  const order = isOn ? (sorting.isDescending ? 'descending' : 'ascending') : 'none'
  return (
    <span role="columnheader" tabIndex={-1} class={side} aria-sort={order}>
      <button
        type="button"
        class="sort"
        onClick={() => sorting.onChange(sort, isOn ? !sorting.isDescending : sort !== 'name')}
      >
        {title}
        {isOn && <Icon name={sorting.isDescending ? 'down' : 'up'} />}
      </button>
    </span>
  )
}
