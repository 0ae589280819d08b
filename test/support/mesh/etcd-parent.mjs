/**
 * @module A node that does nothing but run an etcd, until it is killed. Its settings are JSON in the
 * arguments; it writes `pid N`, then `serving`.
 */
import { fileURLToPath } from 'node:url'
import { EtcdChild } from '../../../dist/src/mesh/etcd/child.js'
import { clientEndpointOf } from '../../../dist/src/mesh/etcd/flags.js'
import { EtcdMembers } from '../../../dist/src/mesh/etcd/members.js'

const options = JSON.parse(process.argv[2])
const none = () => {}
const child = new EtcdChild({
  ...options,
  isKnown: false,
  members: new EtcdMembers({ endpoints: [clientEndpointOf(options.settings)] }),
  log: { debug: none, warn: none, error: none },
  launcher: fileURLToPath(new URL('../../../dist/workers/etcd-launcher.js', import.meta.url)),
})
await child.start()
process.stdout.write(`pid ${child.pid}\n`)
await child.serving()
process.stdout.write('serving\n')
