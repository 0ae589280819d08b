/**
 * @module The thread that compares passwords with bcrypt hashes, one after the other, at a lower
 * priority than the rest of the process: a flood of logins must not slow pulls.
 */
import { verifyBcrypt } from '../src/auth/bcrypt.ts'
import type { PasswordReply, PasswordRequest, PasswordSetup } from '../src/auth/worker/messages.ts'
import { lowerPriority } from '../src/runtime/priority.ts'
import { announceLoaded } from '../src/runtime/worker-thread.ts'

announceLoaded()

export default function checkPasswords({ port }: PasswordSetup) {
  lowerPriority()
  port.on('message', ({ id, password, hash }: PasswordRequest) => {
    const reply: PasswordReply = { id, isRight: verifyBcrypt(password, hash) }
    port.postMessage(reply)
  })
  return new Promise<void>((resolve) => port.on('close', resolve))
}
