/**
 * @module The program, no thread, that a node of a mesh starts to have its etcd: it becomes that etcd.
 */
import { launch, readLaunchArgs } from '../src/mesh/etcd/worker/launch.ts'

launch(readLaunchArgs(process.argv.slice(2)))
