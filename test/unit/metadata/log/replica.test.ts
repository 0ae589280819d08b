/**
 * @module One node's end of the log: what it sends, how often, and what it applies, with a store that refuses, a
 * program that is at fault, and a log that leaves things out.
 */
import { describe, expect, test } from 'vitest'
import type { AppliedEntry, Control } from '../../../../src/metadata/entry.ts'
import {
  decodeBody,
  decodeEntry,
  encodeBody,
  encodeEntry,
} from '../../../../src/metadata/log/codec.ts'
import type {
  LogEntry,
  LogFollower,
  LogPlace,
  SequencedLog,
} from '../../../../src/metadata/log/port.ts'
import { Replica } from '../../../../src/metadata/log/replica.ts'
import type { Settled } from '../../../../src/metadata/log/sender.ts'
import type { Transaction } from '../../../../src/metadata/transaction.ts'
import { factsOf } from '../../../support/mesh/member-facts.ts'
import { SeededRandom } from '../../../support/mesh/seeded-random.ts'
import { SimDisk } from '../../../support/mesh/sim-disk.ts'

/** A log in the test's hands: what is appended waits, and comes when it says so. */
class HeldLog implements SequencedLog {
  readonly sent: Uint8Array[] = []
  readonly entries: LogEntry[] = []
  readonly places: LogPlace[] = []
  follower: LogFollower | undefined
  #reject: ((error: Error) => void)[] = []

  append(bytes: Uint8Array): Promise<void> {
    this.sent.push(bytes)
    return new Promise((_, reject) => this.#reject.push(reject))
  }

  /** All that waits for an answer hears that there is none. */
  async fail(): Promise<void> {
    for (const reject of this.#reject.splice(0)) reject(new Error('no answer'))
    for (let turn = 0; turn < 5; turn += 1) await null
  }

  /** The last that was sent stands in the log. */
  order(bytes: Uint8Array = this.sent.at(-1)!): LogEntry {
    const index = this.entries.length + 1
    const entry = { index, bytes, token: String(index) }
    this.entries.push(entry)
    return entry
  }

  deliver(...entries: readonly LogEntry[]): void {
    this.follower?.onEntries(entries)
  }

  follow(after: LogPlace, follower: LogFollower): () => void {
    this.places.push(after)
    this.follower = follower
    return () => {
      this.follower = undefined
    }
  }

  create = async () => true
  identity = async () => 'log'
  head = async () => this.entries.length
  truncate = async () => undefined
  close = async () => undefined
}

const present: Control = { control: 'present', signal: 1, reads: 'strict' }

function put(name: string): Transaction {
  return { checks: [], changes: [{ change: 'put', in: 'approvals', key: name, row: 1 }] }
}

function node(disk = new SimDisk(), boot = 1, level?: number) {
  const log = new HeldLog()
  const heard = {
    applied: [] as AppliedEntry[],
    settled: [] as Settled[],
    faults: [] as string[],
    nowMs: 0,
  }
  const replica = new Replica({
    log,
    identity: 'log',
    store: disk,
    member: 1,
    boot,
    now: () => heard.nowMs,
    level,
    listener: {
      onApplied: (entries) => heard.applied.push(...entries),
      onSettled: (settled) => heard.settled.push(settled),
      onCut: () => heard.faults.push('cut'),
      onStuck: () => heard.faults.push('stuck'),
      onPoison: (index) => heard.faults.push(`poison ${index}`),
      onRefused: () => heard.faults.push('refused'),
      onConflict: (member, index) => heard.faults.push(`conflict ${member} at ${index}`),
      onFenced: (index) => heard.faults.push(`fenced at ${index}`),
      onOutdated: (level) => heard.faults.push(`outdated by ${level}`),
      onGap: (index) => heard.faults.push(`gap ${index}`),
    },
  })
  replica.start()
  return { log, replica, disk, heard }
}

/** One that takes part. */
function presentNode() {
  const it = node()
  const joins: Control = { control: 'member', member: 1, facts: factsOf('n1') }
  it.replica.submit({ controls: [joins, present], transactions: [] })
  it.log.deliver(it.log.order())
  it.heard.settled.length = 0
  return it
}

const order = (...transactions: Transaction[]) => ({ controls: [], transactions })

describe('sending', () => {
  test('nothing before the run says that it takes part; what waited follows in its order', () => {
    const { log, replica, heard } = node()
    replica.submit(order(put('a')))
    replica.submit(order(put('b')))
    expect(log.sent).toHaveLength(0)
    const joins: Control = { control: 'member', member: 1, facts: factsOf('n1') }
    replica.submit({ controls: [joins, present], transactions: [] })
    log.deliver(log.order())
    expect(log.sent).toHaveLength(1)
    expect(heard.settled.map(({ id, fate }) => [id, fate])).toEqual([
      [3, 'applied'],
      [1, 'applied'],
      [2, 'applied'],
    ])
  })

  test('one at a time; what comes meanwhile shares the next', () => {
    const { log, replica, heard } = presentNode()
    replica.submit(order(put('a')))
    replica.submit(order(put('b'), put('c')))
    replica.submit(order(put('d')))
    expect(log.sent).toHaveLength(2)
    log.deliver(log.order())
    expect(log.sent).toHaveLength(3)
    expect(decodeBody([decodeEntry(log.sent[2]!).body]).transactions).toHaveLength(3)
    log.deliver(log.order())
    expect(heard.settled.map(({ id, outcomes }) => [id, outcomes.length])).toEqual([
      [2, 1],
      [3, 2],
      [4, 1],
    ])
  })

  test('the same bytes again until they are seen, and no more then', async () => {
    const { log, replica, heard } = presentNode()
    replica.submit(order(put('a')))
    await log.fail()
    replica.tick()
    expect(log.sent).toHaveLength(2)
    heard.nowMs += 25
    replica.tick()
    expect(log.sent).toHaveLength(3)
    expect(Buffer.compare(log.sent[2]!, log.sent[1]!)).toBe(0)
    log.deliver(log.order())
    await log.fail()
    heard.nowMs += 10_000
    replica.tick()
    expect(log.sent).toHaveLength(3)
    log.deliver(log.order(log.sent[1]!))
    expect(heard.applied.at(-1)!.fate).toBe('repeated')
    expect(heard.settled).toHaveLength(1)
  })

  test('what was not sent can be taken back, and only that', () => {
    const { log, replica } = presentNode()
    const first = replica.submit(order(put('a')))
    const second = replica.submit(order(put('b')))
    expect([replica.withdraw(first), replica.withdraw(second)]).toEqual([false, true])
    log.deliver(log.order())
    expect(log.sent).toHaveLength(2)
  })

  test('says when the log does not answer', () => {
    const { log, replica, heard } = presentNode()
    replica.submit(order(put('a')))
    expect(replica.isSilent).toBe(false)
    heard.nowMs += 301
    expect(replica.isSilent).toBe(true)
    log.deliver(log.order())
    expect(replica.isSilent).toBe(false)
  })

  test('its own tables change here alone, with the entry and only if it is applied', () => {
    const { log, replica, disk, heard } = presentNode()
    const local = { change: 'put', in: 'system', key: 'n', row: 5 } as const
    const shared = put('a')
    replica.submit(order({ ...shared, changes: [...shared.changes, local] }))
    expect(disk.get('system', 'n')).toBeUndefined()
    const sent = decodeBody([decodeEntry(log.sent.at(-1)!).body])
    expect(sent.transactions[0]!.changes).toHaveLength(1)
    log.deliver(log.order())
    expect(disk.get('system', 'n')).toBe(5)
    const fails: Transaction = {
      checks: [{ check: 'absent', in: 'approvals', key: 'a' }],
      changes: [...shared.changes, { ...local, row: 6 }],
    }
    replica.submit(order(fails))
    log.deliver(log.order())
    expect(disk.get('system', 'n')).toBe(5)
    expect(heard.settled.at(-1)!.outcomes[0]!.applied).toBe(false)
  })

  test('its own tables alone need no log', () => {
    const { log, replica, disk } = presentNode()
    const count = log.sent.length
    const local = { change: 'put', in: 'system', key: 'n', row: 5 } as const
    const outcomes = replica.applyLocal([{ checks: [], changes: [local] }])
    expect([disk.get('system', 'n'), outcomes[0]!.applied]).toEqual([5, true])
    expect(log.sent).toHaveLength(count)
  })

  test('a long body goes piece by piece', () => {
    const { log, replica, disk, heard } = presentNode()
    const row = Buffer.from(new SeededRandom(1).bytes(1_200_000))
    const change = { change: 'put', in: 'manifestBytes', key: 'sha256:a', row } as const
    replica.submit(order({ checks: [], changes: [change] } as unknown as Transaction))
    let count = 0
    while (heard.settled.length === 0 && count < 10) {
      count += 1
      log.deliver(log.order())
    }
    expect(count).toBeGreaterThan(2)
    expect(Buffer.compare(disk.get('manifestBytes', 'sha256:a') as Buffer, row)).toBe(0)
  })

  test('a run whose number another one has is refused, and ends', () => {
    const disk = new SimDisk()
    const one = node(disk)
    const joins: Control = { control: 'member', member: 1, facts: factsOf('n1') }
    one.replica.submit({ controls: [joins, present], transactions: [] })
    const entry = one.log.order()
    one.log.deliver(entry)
    const other = node(disk)
    other.replica.submit({ controls: [present], transactions: [] })
    other.log.entries.push(entry)
    other.log.deliver(other.log.order())
    expect(other.heard.faults).toEqual(['refused'])
    expect(other.log.follower).toBeUndefined()
  })
})

describe('applying', () => {
  test('entries that do not follow are dropped, and asked for again', () => {
    const { log, replica, heard } = presentNode()
    const entries = ['a', 'b', 'c'].map((name) => {
      replica.submit(order(put(name)))
      const entry = log.order()
      return entry
    })
    log.deliver(entries[1]!)
    expect(heard.faults).toEqual(['gap 3'])
    expect(replica.applied).toBe(1)
    replica.tick()
    expect(log.places.at(-1)).toMatchObject({ index: 1, token: '1' })
  })

  test('a store that refuses is asked again, and nothing is lost or done twice', () => {
    const { log, replica, disk, heard } = presentNode()
    replica.submit(order(put('a')))
    const entry = log.order()
    disk.failure = new Error('no room')
    log.deliver(entry)
    expect([heard.faults, replica.applied, log.follower]).toEqual([['stuck'], 1, undefined])
    disk.failure = undefined
    heard.nowMs += 1_000
    replica.tick()
    log.deliver(entry)
    expect([replica.applied, disk.get('approvals', 'a')]).toEqual([2, 1])
  })

  test('what the program cannot apply is left out, and what stands around it is not', () => {
    const { log, replica, disk, heard } = presentNode()
    replica.submit(order(put('a')))
    log.order()
    const at = (seq: number, transactions: readonly unknown[]) => {
      const [body] = encodeBody({ controls: [], transactions: transactions as Transaction[] })
      return log.order(encodeEntry({ member: 1, boot: 1, seq, piecesLeft: 0, body: body! }))
    }
    at(3, [{ checks: null, changes: [] }])
    at(4, [put('b')])
    log.deliver(...log.entries.slice(1))
    expect(heard.faults).toEqual(['poison 3'])
    expect(heard.applied.slice(1).map(({ fate }) => fate)).toEqual(['applied', 'poison', 'applied'])
    expect([disk.get('approvals', 'a'), disk.get('approvals', 'b')]).toEqual([1, 1])
  })

  test('what is no entry at all is void, and has its place in the chain', () => {
    const { log, replica, heard } = presentNode()
    const before = replica.chainAt(1)
    log.deliver(log.order(Buffer.from('no entry')))
    expect(heard.applied.at(-1)!.fate).toBe('void')
    expect(replica.applied).toBe(2)
    expect(Buffer.compare(replica.chainAt(2)!, before!)).not.toBe(0)
  })

  test('beats are written with what comes next, or after a second', () => {
    const { log, replica, disk, heard } = presentNode()
    const beat: Control = { control: 'beat', signal: 2, visible: 1, durable: 1 }
    const stored = () => (disk.get('places', 'applied') as { index: number }).index
    replica.submit({ controls: [beat], transactions: [] })
    log.deliver(log.order())
    expect([replica.applied, stored()]).toEqual([2, 1])
    heard.nowMs += 999
    replica.tick()
    expect(stored()).toBe(1)
    heard.nowMs += 1
    replica.tick()
    expect(stored()).toBe(2)
    replica.submit({ controls: [beat], transactions: [] })
    log.deliver(log.order())
    replica.submit(order(put('a')))
    log.deliver(log.order())
    expect(stored()).toBe(4)
  })

  test('the same entries make the same chain, however they come together', () => {
    const { log, replica } = presentNode()
    for (const name of ['a', 'b', 'c']) {
      replica.submit(order(put(name)))
      log.deliver(log.order())
    }
    const other = node(new SimDisk(), 9)
    other.log.deliver(...log.entries.slice(0, 3))
    other.log.deliver(...log.entries.slice(3))
    expect(Buffer.from(other.replica.chainAt(4)!)).toEqual(Buffer.from(replica.chainAt(4)!))
    const restarted = node(other.disk, 10)
    expect(restarted.log.places[0]).toMatchObject({ index: 4, token: '4' })
  })

  test('an outcome or a row that differs makes another chain', () => {
    const absent = { check: 'absent', in: 'approvals', key: 'a' } as const
    const key = 'sha256:b'
    const raise = { change: 'raise', in: 'blobs', key, at: 9 }
    const blob = { sizeBytes: 1, place: 'file', createdAt: 1, linkedAt: 1 }
    for (const [transaction, table, row, other] of [
      [{ checks: [absent], changes: put('a').changes }, 'approvals', undefined, 7],
      // The same is done on both, to rows that are not the same.
      [{ checks: [], changes: [raise] }, 'blobs', blob, { ...blob, createdAt: 2 }],
    ] as const) {
      const name = table === 'blobs' ? key : 'a'
      const one = presentNode()
      if (row !== undefined) one.disk.writeSync(() => one.disk.put(table, name, row))
      one.replica.submit(order(transaction as unknown as Transaction))
      one.log.deliver(one.log.order())
      const disk = new SimDisk()
      disk.writeSync(() => disk.put(table, name, other))
      const two = node(disk, 9)
      two.log.deliver(...one.log.entries)
      expect(two.replica.applied).toBe(2)
      const [first, second] = [one, two].map(({ replica }) => Buffer.from(replica.chainAt(2)!))
      expect(second).not.toEqual(first)
    }
  })
})

describe('chains of others', () => {
  const joins = (member: number): Control => ({
    control: 'member',
    member,
    facts: factsOf(`n${member}`),
  })
  const beatOf = (log: HeldLog, member: number, seq: number, at: number, hash: Uint8Array) => {
    const beat: Control = {
      control: 'beat',
      signal: 2,
      visible: 1,
      durable: 1,
      chain: { at, hash },
    }
    const [body] = encodeBody({ controls: [beat], transactions: [] })
    return log.order(encodeEntry({ member, boot: 1, seq, piecesLeft: 0, body: body! }))
  }
  /** One of three members that are present. */
  function oneOfThree() {
    const it = node()
    it.replica.submit({ controls: [joins(1), joins(2), joins(3), present], transactions: [] })
    it.log.deliver(it.log.order())
    for (const member of [2, 3]) {
      const [body] = encodeBody({ controls: [present], transactions: [] })
      const entry = { member, boot: 1, seq: 1, piecesLeft: 0, body: body! }
      it.log.deliver(it.log.order(encodeEntry(entry)))
    }
    return it
  }
  const other = new Uint8Array(32).fill(7)

  test('a beat says the chain of its sender', () => {
    const { log, replica } = oneOfThree()
    replica.submit({
      controls: [{ control: 'beat', signal: 2, visible: 3, durable: 1 }],
      transactions: [],
    })
    const [beat] = decodeBody([decodeEntry(log.sent.at(-1)!).body]).controls
    expect(beat).toMatchObject({ chain: { at: 3, hash: Buffer.from(replica.chainAt(3)!) } })
  })

  test('the same say nothing; one of two others that differs is reported once', () => {
    const { log, replica, heard } = oneOfThree()
    log.deliver(beatOf(log, 2, 2, 3, replica.chainAt(3)!))
    expect(heard.faults).toEqual([])
    log.deliver(beatOf(log, 2, 3, 3, other))
    log.deliver(beatOf(log, 2, 4, 3, other))
    expect(heard.faults).toEqual(['conflict 2 at 3'])
    expect(replica.applied).toBe(6)
  })

  test('as many as could be a majority end it here', () => {
    const { log, replica, heard } = oneOfThree()
    log.deliver(beatOf(log, 2, 2, 3, other))
    log.deliver(beatOf(log, 3, 2, 3, other))
    expect(heard.faults).toEqual(['conflict 2 at 3', 'conflict 3 at 3', 'fenced at 3'])
    expect(log.follower).toBeUndefined()
    expect(replica.applied).toBe(5)
  })

  test('who agrees again counts no more', () => {
    const { log, replica, heard } = oneOfThree()
    log.deliver(beatOf(log, 2, 2, 3, other))
    log.deliver(beatOf(log, 2, 3, 4, replica.chainAt(4)!))
    log.deliver(beatOf(log, 3, 2, 3, other))
    expect(heard.faults).toEqual(['conflict 2 at 3', 'conflict 3 at 3'])
  })

  test('what is too long ago says nothing', () => {
    const { log, heard } = oneOfThree()
    log.deliver(beatOf(log, 2, 2, 77, other))
    log.deliver(beatOf(log, 3, 2, 77, other))
    expect(heard.faults).toEqual([])
  })
})

describe('cut off from the log', () => {
  const away = () => {
    const it = presentNode()
    it.log.follower!.onCut()
    return it
  }
  const joins: Control = { control: 'member', member: 2, facts: factsOf('n2') }
  const entryOf = (index: number, controls: readonly Control[], seq: number): LogEntry => {
    const [body] = encodeBody({ controls, transactions: [] })
    const bytes = encodeEntry({ member: 2, boot: 1, seq, piecesLeft: 0, body: body! })
    return { index, token: String(index), bytes }
  }

  test('it applies a tail that follows on, and nothing else, and then follows from there', () => {
    const { log, replica, heard } = away()
    expect([heard.faults, replica.isCurrent]).toEqual([['cut'], false])
    expect(replica.takeTail([entryOf(3, [joins, present], 1)])).toBe(false)
    expect(replica.takeTail([entryOf(2, [joins, present], 1)])).toBe(true)
    expect([replica.applied, replica.place.token]).toEqual([2, '2'])
    replica.followAgain()
    expect(log.places.at(-1)).toMatchObject({ index: 2, token: '2' })
    // It is not cut off any more.
    expect(replica.takeTail([entryOf(3, [present], 2)])).toBe(false)
  })

  test('what it took is believed when another member has come to the same rows behind it', () => {
    const { log, replica } = away()
    replica.takeTail([entryOf(2, [joins, present], 1)])
    replica.followAgain()
    const beat = (at: number, hash: Uint8Array): Control => {
      return { control: 'beat', signal: 1, visible: 1, durable: 1, chain: { at, hash } }
    }
    expect(replica.isCurrent).toBe(false)
    log.deliver(entryOf(3, [beat(1, replica.chainAt(1)!)], 2))
    expect(replica.isCurrent, 'from before the tail').toBe(false)
    log.deliver(entryOf(4, [beat(2, replica.chainAt(2)!)], 3))
    expect(replica.isCurrent).toBe(true)
  })

  test('a tail that was none of this log puts the node out of the mesh', () => {
    const { log, replica, heard } = away()
    replica.takeTail([entryOf(2, [joins, present], 1)])
    replica.followAgain()
    const chain = { at: 2, hash: new Uint8Array(32) }
    log.deliver(entryOf(3, [{ control: 'beat', signal: 1, visible: 1, durable: 1, chain }], 2))
    expect(replica.isCurrent).toBe(false)
    expect(heard.faults).toContain('fenced at 2')
  })

  test('without a tail nothing more is applied', () => {
    const { replica } = away()
    replica.giveUp()
    expect(replica.takeTail([entryOf(2, [joins, present], 1)])).toBe(false)
    expect(replica.applied).toBe(1)
  })
})

test('a node that is held applies nothing, and goes on from where it was', () => {
  const { log, replica, heard } = presentNode()
  replica.hold(true)
  expect([replica.isHeld, replica.isCurrent, log.follower]).toEqual([true, false, undefined])
  heard.nowMs = 10_000
  replica.tick()
  expect(log.follower).toBeUndefined()
  replica.hold(false)
  replica.tick()
  expect(log.places.at(-1)).toMatchObject({ index: 1 })
  expect(replica.isCurrent).toBe(true)
})

test('no read rests on the rows while the store refuses what came', () => {
  const { log, replica, disk, heard } = presentNode()
  replica.submit(order(put('a')))
  const entry = log.order()
  disk.failure = Object.assign(new Error('full'), { code: 'ENOSPC' })
  log.deliver(entry)
  replica.tick()
  expect([heard.faults, replica.isCurrent]).toEqual([['stuck'], false])
  disk.failure = undefined
  heard.nowMs = 1_000
  replica.tick()
  log.deliver(entry)
  expect(replica.isCurrent).toBe(true)
})

describe('newer rules', () => {
  const joins: Control = { control: 'member', member: 1, facts: factsOf('n1') }
  const raise: Control = { control: 'raise', level: 2 }
  const controls = (...all: Control[]) => ({ controls: all, transactions: [] })
  const comeIn = (it: ReturnType<typeof node>) => {
    it.replica.submit(controls(joins, present))
    it.log.deliver(it.log.order())
    return it
  }
  const levelOn = (disk: SimDisk) => (disk.get('cluster', 'settings') as { level?: number })?.level

  test('are in force once the programs of all members know them', () => {
    const { log, replica, disk, heard } = comeIn(node(new SimDisk(), 1, 2))
    const facts = { control: 'member', member: 2, facts: factsOf('n2') } as const
    replica.submit(controls(facts, raise))
    log.deliver(log.order())
    // Member 2 has not come in, so its program is not known.
    expect([heard.settled.at(-1)!.done, levelOn(disk)]).toEqual([[true, false], undefined])
    replica.submit(controls({ control: 'state', member: 2, state: 'left' }, raise, raise))
    log.deliver(log.order())
    expect([heard.settled.at(-1)!.done, levelOn(disk)]).toEqual([[true, true, false], 2])
  })

  test('are not in force while one program lacks them', () => {
    const { log, replica, disk, heard } = comeIn(node())
    replica.submit(controls(raise))
    log.deliver(log.order())
    expect([heard.settled.at(-1)!.done, levelOn(disk), heard.faults]).toEqual([
      [false],
      undefined,
      [],
    ])
  })

  test('end a program that does not know them, before it applies by them', () => {
    const disk = new SimDisk()
    const { log, replica } = comeIn(node(disk, 1, 2))
    replica.submit(controls(raise))
    const entry = log.order()
    // The program of before, on the store of the newer one.
    const old = node(disk, 2, 1)
    old.log.deliver(entry)
    expect([old.heard.faults, old.replica.applied, levelOn(disk)]).toEqual([
      ['outdated by 2'],
      1,
      undefined,
    ])
    old.log.deliver(entry)
    expect(old.heard.faults).toHaveLength(1)
    // The newer one goes on from there; the older one does not even follow.
    const again = node(disk, 3, 2)
    again.log.deliver(entry)
    expect(levelOn(disk)).toBe(2)
    const late = node(disk, 4, 1)
    expect([late.heard.faults, late.log.places]).toEqual([['outdated by 2'], []])
  })

  test('keep out a run that does not know them, whatever it says', () => {
    const { log, replica, disk } = comeIn(node(new SimDisk(), 1, 2))
    replica.submit(controls(raise))
    log.deliver(log.order())
    const [body] = encodeBody(controls({ ...present, level: 1 }))
    const old = encodeEntry({ member: 1, boot: 2, seq: 1, piecesLeft: 0, body: body! })
    log.deliver(log.order(old))
    expect(disk.get('sessions', '1')).toMatchObject({ boot: 1, level: 2 })
    expect(replica.applied).toBe(3)
  })
})
