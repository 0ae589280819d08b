/**
 * @module The one vote that a node has while no mesh was founded: it goes to one node, over all runs of this one, or two
 * could found with it. It counts among the nodes of one list: who changes the list everywhere takes a node that is
 * gone for good out of the way.
 */
import type { IdentityFolder } from '../identity/kept.ts'

export class Vote {
  readonly #folder: Pick<IdentityFolder, 'setVote'>
  readonly #founders: readonly string[]
  #founder: string | undefined
  #kept: Promise<void> = Promise.resolve()

  private constructor(
    folder: Pick<IdentityFolder, 'setVote'>,
    founders: readonly string[],
    founder: string | undefined,
  ) {
    this.#folder = folder
    this.#founders = founders
    this.#founder = founder
  }

  /** `founders`: the nodes of the list, in its order. */
  static async of(
    folder: Pick<IdentityFolder, 'setVote' | 'vote'>,
    founders: readonly string[],
  ): Promise<Vote> {
    const kept = await folder.vote()
    const isOfList = kept !== undefined && kept.founders.join() === founders.join()
    return new Vote(folder, founders, isOfList ? kept.founder : undefined)
  }

  /** Gives it to the node that is reached there: on the disk when it resolves. False: another one has it. */
  async give(founder: string): Promise<boolean> {
    if (this.#founder === undefined) {
      this.#founder = founder
      this.#kept = this.#folder.setVote({ founder, founders: [...this.#founders] })
    }
    if (this.#founder !== founder) return false
    await this.#kept
    return true
  }
}
