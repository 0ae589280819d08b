/**
 * @module The thread that compares passwords with bcrypt hashes, one after the other, at a lower
 * priority than the rest of the process: a flood of logins must not slow pulls.
 */
import { setPriority } from 'node:os'
import { verifyBcrypt } from '../src/auth/bcrypt.ts'
import type {
  PasswordReply,
  PasswordRequest,
  PasswordSetup,
} from '../src/runtime/worker-messages.ts'

/** Nicer than the main thread; on Linux the priority belongs to the calling thread alone. */
const niceness = 19

export default function checkPasswords({ port }: PasswordSetup) {
  if (process.platform === 'linux') {
    try {
      setPriority(0, niceness)
    } catch {
      // Not allowed here: the passwords are checked all the same.
    }
  }
  port.on('message', ({ id, password, hash }: PasswordRequest) => {
    const reply: PasswordReply = { id, isRight: verifyBcrypt(password, hash) }
    port.postMessage(reply)
  })
  return new Promise<void>((resolve) => port.on('close', resolve))
}
