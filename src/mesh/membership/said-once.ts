/**
 * @module What a run says of members is said once: it stands in line until the log answers, and another one behind it
 * would say nothing new.
 */
export class SaidOnce {
  /** By member: the run that has said it. */
  readonly #said = new Map<number, number>()

  /** Of all that it is to be said of now, those of which this run has not said it yet. */
  take(members: readonly number[], boot: number): readonly number[] {
    for (const member of [...this.#said.keys()]) {
      if (!members.includes(member)) this.#said.delete(member)
    }
    const fresh = members.filter((member) => this.#said.get(member) !== boot)
    for (const member of fresh) this.#said.set(member, boot)
    return fresh
  }
}
