/**
 * @module What a policy of signatures says of an image, as a badge.
 */
import type { Verdict as Of } from '../../core/answers.ts'
import { texts } from '../../messages/catalogue.ts'

export function Verdict({ of }: { readonly of: Of }) {
  const t = texts.value
  const isGood = of.state === 'verified'
  return (
    <span class={`badge ${isGood ? 'good' : 'warn'}`} title={`${of.policy} ${of.by.join(', ')}`}>
      {isGood ? t.signed : of.state}
    </span>
  )
}
