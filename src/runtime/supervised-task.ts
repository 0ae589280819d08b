/**
 * @module A long task that is started again when it dies: after a moment, then after longer ones.
 * While it is down, whoever needs it is told so at once; nothing waits for a thread that may never
 * come back.
 */
import type { LongTask } from './worker-pool.ts'

const restartMsMin = 50
const restartMsMax = 5_000

export interface TaskListener<Reply> {
  onReply(reply: Reply): void
  /** The task has died; what it was asked and had not answered is lost. */
  onDown(error: Error): void
}

export class SupervisedTask<Request, Reply> {
  readonly #start: () => LongTask
  readonly #listener: TaskListener<Reply>
  #task: LongTask | undefined
  #restartMs = restartMsMin
  #timer: NodeJS.Timeout | undefined
  #isClosing = false

  /** Starts the task at once. */
  constructor(start: () => LongTask, listener: TaskListener<Reply>) {
    this.#start = start
    this.#listener = listener
    this.#run()
  }

  get isUp(): boolean {
    return this.#task !== undefined
  }

  /** False when the task is down: then the request was not sent. */
  post(request: Request): boolean {
    this.#task?.port.postMessage(request)
    return this.#task !== undefined
  }

  #run(): void {
    const task = this.#start()
    this.#task = task
    task.port.on('message', (reply: Reply) => {
      this.#restartMs = restartMsMin
      this.#listener.onReply(reply)
    })
    task.ended.then(
      () => this.#onEnded(new Error('worker has ended')),
      (error: unknown) => this.#onEnded(new Error(`worker died: ${String(error)}`)),
    )
  }

  #onEnded(error: Error): void {
    if (this.#isClosing) return
    this.#task = undefined
    this.#timer = setTimeout(() => this.#run(), this.#restartMs)
    this.#restartMs = Math.min(restartMsMax, this.#restartMs * 2)
    this.#listener.onDown(error)
  }

  /** Ends the task by closing its port, and waits for it. */
  async close(): Promise<void> {
    this.#isClosing = true
    clearTimeout(this.#timer)
    const task = this.#task
    this.#task = undefined
    task?.port.close()
    await task?.ended.catch(() => undefined)
  }
}
