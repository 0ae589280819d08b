/**
 * @module Appends entries to a tail until it is killed, in batches of changing sizes. The bytes follow from
 * the index as in `tail-entries.ts`.
 */
import { openTail } from '../../../../dist/src/metadata/log/tail/tail.js'

const [folder, first] = process.argv.slice(2)
const onFault = (error) => {
  throw error
}
const tail = openTail({
  folder,
  identity: 'log-1',
  cluster: 'main',
  segmentBytes: 200_000,
  bytesMax: 1_000_000,
  onFault,
})
let index = Number(first)
process.stdout.write('writes\n')
while (true) {
  const count = 1 + (index % 40)
  tail.append(Array.from({ length: count }, (_, place) => entry(index + place)))
  index += count
}

function entry(of) {
  const sizeBytes = 40 + ((of * 37) % 900)
  const bytes = Buffer.alloc(sizeBytes)
  for (let at = 0; at < sizeBytes; at += 1) bytes[at] = (of * 31 + at * 7) & 0xff
  return { index: of, bytes, token: `at-${of * 3}` }
}
