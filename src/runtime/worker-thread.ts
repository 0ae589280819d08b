/**
 * @module What a worker thread tells the pool that started it.
 */
import { parentPort } from 'node:worker_threads'

/**
 * Says that the thread has loaded its modules, so that it may be ended: cutting one off while it
 * loads a native module, or a module at all, can end the process. For the body of a worker's module,
 * which runs last; said in the turn after it, for loading ends only when the body has returned.
 */
export function announceLoaded(): void {
  setImmediate(() => parentPort?.postMessage('loaded'))
}
