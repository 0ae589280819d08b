/**
 * @module What a worker thread tells the pool that started it.
 */
import { parentPort } from 'node:worker_threads'

/**
 * Says that the thread has loaded its modules, so that it may be ended: cutting one off while it
 * loads a native module can end the process. For the body of a worker's module, which runs last.
 */
export function announceLoaded(): void {
  parentPort?.postMessage('loaded')
}
