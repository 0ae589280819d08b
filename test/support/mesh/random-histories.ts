/**
 * @module Histories of registers to test the checker with: of a real register, so that they are
 * linearizable; the same with one thing wrong that no order explains; and small ones of pure chance, with
 * a judge that tries every order.
 */
import type { RegisterAct, RegisterOperation, RegisterValue } from './register-history.ts'
import type { SeededRandom } from './seeded-random.ts'

export interface HistoryShape {
  readonly operations: number
  readonly keys: number
  /** Clients, each with one operation at a time; an unknown one frees its client. */
  readonly clients: number
  /** Share of the changes whose answer is lost. */
  readonly unknown: number
}

/** Late enough that an operation can be put in front. */
const STARTS_AT = 10

/**
 * A history of a register that does one thing after the other, seen by clients that call earlier and hear
 * later. Each value is written once.
 */
export function realHistory(random: SeededRandom, shape: HistoryShape): RegisterOperation[] {
  const held = new Map<string, RegisterValue>()
  const used = new Map<string, RegisterValue[]>()
  const freeAt = Array.from({ length: shape.clients }, () => STARTS_AT)
  const operations: RegisterOperation[] = []
  let now = STARTS_AT
  for (let at = 0; at < shape.operations; at += 1) {
    now += random.exponential(1)
    const client = random.below(shape.clients)
    const key = `key ${random.below(shape.keys)}`
    const values = used.get(key) ?? [undefined]
    used.set(key, values)
    // Its call may lie before the effect of others, but not before its client was free.
    const call = Math.max(freeAt[client]!, now - random.exponential(3))
    if (call > now) continue
    const isUnknown = random.chance(shape.unknown)
    const takesEffect = !isUnknown || random.chance(0.5)
    const act = actOf(random, held.get(key), values, `v${at}`)
    if (takesEffect && changes(act)) held.set(key, act.value)
    const end = now + random.exponential(3)
    freeAt[client] = end
    if (!isUnknown) operations.push({ key, act, call, end })
    else operations.push({ key, act: unknownAct(act), call, end: undefined })
  }
  return operations
}

function changes(act: RegisterAct): boolean {
  return act.kind === 'write' || (act.kind === 'compareAndSet' && act.ok === true)
}

function unknownAct(act: RegisterAct): RegisterAct {
  return act.kind === 'compareAndSet' ? { ...act, ok: undefined } : act
}

function actOf(
  random: SeededRandom,
  held: RegisterValue,
  values: RegisterValue[],
  fresh: string,
): RegisterAct {
  const die = random.uniform()
  if (die < 0.4) return { kind: 'read', value: held }
  if (die < 0.7) {
    values.push(fresh)
    return { kind: 'write', value: fresh }
  }
  const expected = random.chance(0.6) ? held : random.pick(values)
  values.push(fresh)
  return { kind: 'compareAndSet', expected, value: fresh, ok: expected === held }
}

/** What is made wrong, and a history in which it is; undefined where it does not fit. */
export const MUTATIONS: Readonly<
  Record<
    string,
    (random: SeededRandom, history: readonly RegisterOperation[]) => RegisterOperation[] | undefined
  >
> = {
  'a read of a value that was never written': (random, history) => {
    const end = lastEnd(history)
    const { key } = random.pick(history)
    const act: RegisterAct = { kind: 'read', value: 'never' }
    const call = random.between(STARTS_AT, end)
    return [...history, { key, act, call, end: call + random.exponential(3) }]
  },
  'a read that ends before its value was called': (random, history) => {
    const write = pickWhere(
      random,
      history,
      ({ act, end }) => act.kind === 'write' && end !== undefined,
    )
    if (write === undefined || write.act.kind === 'read') return undefined
    const end = write.call - 0.001
    return [
      ...history,
      { key: write.key, act: { kind: 'read', value: write.act.value }, call: end - 5, end },
    ]
  },
  'a read of a value after another one that came later had ended': (random, history) => {
    const pair = overwritten(random, history)
    if (pair === undefined || pair.first.act.kind === 'read') return undefined
    const call = pair.second.end! + random.exponential(3) + 0.001
    const act: RegisterAct = { kind: 'read', value: pair.first.act.value }
    return [...history, { key: pair.first.key, act, call, end: call + random.exponential(3) }]
  },
  'two winners of one value': (random, history) => {
    const winner = pickWhere(
      random,
      history,
      ({ act }) => act.kind === 'compareAndSet' && act.ok === true && act.expected !== undefined,
    )
    if (winner?.act.kind !== 'compareAndSet' || winner.end === undefined) return undefined
    return [...history, { ...winner, act: { ...winner.act, value: 'second' } }]
  },
  'a write that is lost': (_random, history) => {
    const end = lastEnd(history)
    const key = history[0]!.key
    const act: RegisterAct = { kind: 'write', value: 'lost' }
    return [
      ...history,
      { key, act: { kind: 'write', value: 'before' }, call: end + 1, end: end + 2 },
      { key, act, call: end + 3, end: end + 4 },
      { key, act: { kind: 'read', value: 'before' }, call: end + 5, end: end + 6 },
    ]
  },
}

function lastEnd(history: readonly RegisterOperation[]): number {
  return Math.max(STARTS_AT, ...history.map(({ call, end }) => end ?? call))
}

function pickWhere(
  random: SeededRandom,
  history: readonly RegisterOperation[],
  holds: (operation: RegisterOperation) => boolean,
): RegisterOperation | undefined {
  const found = history.filter(holds)
  return found.length === 0 ? undefined : random.pick(found)
}

/** Two writes of one key, the second one called after the first had ended. */
function overwritten(random: SeededRandom, history: readonly RegisterOperation[]) {
  const isWrite = ({ act, end }: RegisterOperation) => act.kind === 'write' && end !== undefined
  const first = pickWhere(random, history, isWrite)
  if (first === undefined) return undefined
  const second = pickWhere(
    random,
    history,
    (it) => isWrite(it) && it.key === first.key && it.call > first.end!,
  )
  return second === undefined ? undefined : { first, second }
}

/** A short history of one key, of few values and nothing but chance. */
export function wildHistory(random: SeededRandom, operations: number): RegisterOperation[] {
  const values: readonly RegisterValue[] = [undefined, 'a', 'b']
  return Array.from({ length: operations }, () => {
    const call = random.below(8)
    const end = random.chance(0.25) ? undefined : call + random.below(6)
    const value = random.pick(values)
    const expected = random.pick(values)
    const kind = random.pick(['read', 'write', 'compareAndSet'] as const)
    const ok = end === undefined ? undefined : random.chance(0.5)
    const act = kind === 'compareAndSet' ? { kind, expected, value, ok } : { kind, value }
    return { key: 'k', act, call, end }
  })
}

/** Tries every order, and every choice of unknown operations to leave out. For short histories of one key. */
export function isLinearizableByTrial(
  history: readonly RegisterOperation[],
  held: RegisterValue = undefined,
): boolean {
  if (history.every(({ end }) => end === undefined)) return true
  return history.some((operation, at) => {
    const others = history.filter((_, other) => other !== at)
    if (others.some(({ end }) => end !== undefined && end < operation.call)) return false
    const { act } = operation
    switch (act.kind) {
      case 'read':
        return act.value === held && isLinearizableByTrial(others, held)
      case 'write':
        return isLinearizableByTrial(others, act.value)
      case 'compareAndSet': {
        const ok = act.expected === held
        if (act.ok !== undefined && act.ok !== ok) return false
        return isLinearizableByTrial(others, ok ? act.value : held)
      }
      default:
        throw new Error('no such act')
    }
  })
}
