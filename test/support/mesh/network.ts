/**
 * @module Machines of a mesh that can be cut off from each other: each a network namespace of its own behind one
 * bridge, so that packets are dropped without a word, as a broken switch drops them. Clients reach every machine all
 * the time. Needs root, `ip` and `iptables` on Linux; without them tests are skipped loudly.
 */
import { execFileSync } from 'node:child_process'
import { beforeEach, type TestContext } from 'vitest'
import { skipLoudly } from '../../clients/support/tools.ts'

/** The first of the three ports of the nodes, on each machine. */
export const meshPort = 7946

export interface Machine {
  readonly namespace: string
  /** Of this machine alone. */
  readonly host: string
}

/** Which packets between two machines are dropped. */
export interface Cut {
  /** Only those that come from the first of the two. Default: both ways. */
  readonly isOneWay?: boolean
  /** Of TCP, counted on the machine that listens. Default: all. */
  readonly ports?: readonly number[]
}

/** Skips every test of the file, loudly, where machines cannot be made. */
export function needNetworks(): void {
  const reason = reasonAgainst()
  beforeEach((context: TestContext) => {
    if (reason !== undefined) skipLoudly(context, reason)
  })
}

function reasonAgainst(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  try {
    const network = Network.create(1)
    try {
      network.cut(network.machines[0]!, network.machines[0]!)
    } finally {
      network.close()
    }
    return undefined
  } catch (error) {
    return `no network namespaces here: ${String(error).slice(0, 200)}`
  }
}

export class Network {
  readonly machines: readonly Machine[]
  readonly #bridge: string

  private constructor(bridge: string, machines: readonly Machine[]) {
    this.#bridge = bridge
    this.machines = machines
  }

  /** Machines that all reach each other. */
  static create(count: number): Network {
    const id = (process.pid % 46_656).toString(36) + made.toString(36)
    const subnet = `10.${100 + (process.pid % 100)}.${made % 250}`
    made += 1
    const bridge = `frb${id}`
    const machines = Array.from({ length: count }, (_, at): Machine => {
      return { namespace: `fr${id}-${at + 1}`, host: `${subnet}.${at + 11}` }
    })
    const network = new Network(bridge, machines)
    try {
      ip('link', 'add', bridge, 'type', 'bridge')
      ip('addr', 'add', `${subnet}.1/24`, 'dev', bridge)
      ip('link', 'set', bridge, 'up')
      for (const [at, machine] of machines.entries()) network.#plug(machine, `frv${id}${at + 1}`)
      return network
    } catch (error) {
      network.close()
      throw error
    }
  }

  /** Drops packets between two machines, until `heal`. */
  cut(one: Machine, other: Machine, { isOneWay = false, ports }: Cut = {}): void {
    const drop = (from: Machine, to: Machine) => {
      if (ports === undefined) return this.#drop(to, ['-s', from.host])
      const list = ports.join(',')
      const tcp = ['-s', from.host, '-p', 'tcp', '-m', 'multiport']
      // What comes to a port, and the answers of a port.
      this.#drop(to, [...tcp, '--dports', list])
      this.#drop(to, [...tcp, '--sports', list])
    }
    drop(one, other)
    if (!isOneWay) drop(other, one)
  }

  /** Cuts one machine off from all others. */
  isolate(one: Machine, cut: Cut = {}): void {
    for (const other of this.machines) if (other !== one) this.cut(one, other, cut)
  }

  /** All reach each other again. */
  heal(): void {
    for (const { namespace } of this.machines) inside(namespace, 'iptables', '-F', 'INPUT')
  }

  /** Nothing may run on the machines any more. */
  close(): void {
    for (const { namespace } of this.machines) quietly(() => ip('netns', 'del', namespace))
    quietly(() => ip('link', 'del', this.#bridge))
  }

  #plug({ namespace, host }: Machine, wire: string): void {
    ip('netns', 'add', namespace)
    ip('link', 'add', wire, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace)
    ip('link', 'set', wire, 'master', this.#bridge, 'up')
    inside(namespace, 'ip', 'addr', 'add', `${host}/24`, 'dev', 'eth0')
    inside(namespace, 'ip', 'link', 'set', 'eth0', 'up')
    inside(namespace, 'ip', 'link', 'set', 'lo', 'up')
  }

  #drop({ namespace }: Machine, what: readonly string[]): void {
    inside(namespace, 'iptables', '-A', 'INPUT', ...what, '-j', 'DROP')
  }
}

/** Networks of this process so far. */
let made = 0

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

function inside(namespace: string, program: string, ...args: string[]): void {
  ip('netns', 'exec', namespace, program, ...args)
}

function quietly(run: () => void): void {
  try {
    run()
  } catch {
    // It was never there.
  }
}
