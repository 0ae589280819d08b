/**
 * @module Sets of addresses: single ones and CIDR ranges, IPv4 and IPv6, for rules and for proxies
 * that are trusted. Node's own `BlockList` does the comparing.
 */
import { BlockList, isIP } from 'node:net'

export class Networks {
  readonly #list = new BlockList()
  readonly #verdicts = new Map<string, boolean>()
  readonly isEmpty: boolean

  /** Addresses and ranges (`10.0.0.0/8`) that the configuration has checked. */
  constructor(texts: readonly string[]) {
    this.isEmpty = texts.length === 0
    for (const text of texts) {
      const [address = '', bits] = text.split('/')
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
      if (bits === undefined) this.#list.addAddress(address, family)
      else this.#list.addSubnet(address, Number(bits), family)
    }
  }

  /** `address` in its short form (`10.0.0.1`, `::1`); anything else is in no network. */
  includes(address: string): boolean {
    if (this.isEmpty) return false
    const known = this.#verdicts.get(address)
    if (known !== undefined) return known
    const version = isIP(address)
    const verdict = version !== 0 && this.#list.check(address, version === 6 ? 'ipv6' : 'ipv4')
    if (this.#verdicts.size >= verdictsMax) this.#verdicts.clear()
    this.#verdicts.set(address, verdict)
    return verdict
  }
}

/** Verdicts remembered: a check costs some microseconds, most clients ask more than once. */
const verdictsMax = 10_000
