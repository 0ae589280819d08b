/**
 * @module Opens the copied metadata of a folder and begins with one large transaction of a kind. A process
 * of its own, because what it guards against ends the process.
 */
import { LmdbEnvironment } from '../../../dist/src/metadata/lmdb/environment.js'

const [folder, kind, count] = process.argv.slice(2)
const environment = new LmdbEnvironment(folder, false)
environment.writeSync(() => {
  for (let number = 0; number < Number(count); number += 1) {
    const key = ['team/app', `key-${number}`]
    if (kind === 'delete') environment.delete('pulls', key)
    else if (kind === 'overwrite') environment.put('pulls', key, Date.now() + number)
    else if (kind === 'large')
      environment.put('manifestBytes', `key-${number}`, Buffer.alloc(9_000))
    else environment.put('pulls', ['team/new', `key-${number}`], number)
  }
})
environment.writeSync(() => environment.put('system', 'after', 1))
console.log(environment.get('system', 'after'))
await environment.close()
