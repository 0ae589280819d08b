/**
 * @module `fastregistry htpasswd add|remove|verify`: the users' file, changed in one step so that a
 * running server sees the old or the new one. The password comes by standard input, never by the
 * command line, which every user of the machine can read.
 */
import { realpath, stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { hashBcrypt, passwordBytesMax, verifyBcrypt } from '../../auth/bcrypt.ts'
import { editHtpasswd, parseHtpasswd, userNameProblem } from '../../auth/htpasswd.ts'
import { readIfThere, replaceFile, withLock } from '../../auth/secret-file.ts'
import type { RunCommand } from '../command.ts'
import { configOf, Misuse, reportFailure } from '../command-line.ts'
import type { Terminal } from '../terminal.ts'

export const htpasswd: RunCommand = async (line, terminal) => {
  const action = line.command.words[1]!
  const user = line.operands.at(-1)!
  const problem = userNameProblem(user)
  if (problem !== undefined) throw new Misuse(problem)
  const given = line.operands.length === 2 ? line.operands[0] : undefined
  const file = given ?? (await configOf(line, terminal)).auth.htpasswdFile
  if (file === undefined) {
    throw new Misuse('name the file, or a configuration with auth.htpasswd_file')
  }
  return reportFailure(terminal, `htpasswd ${action} failed`, () =>
    act(action, file, user, terminal),
  )
}

async function act(action: string, file: string, user: string, terminal: Terminal) {
  if (action === 'remove') {
    await change(file, user, undefined)
    terminal.print(`removed ${user} from ${file}`)
    return 0
  }
  const password = await readSecret(`Password of ${user}: `)
  if (action === 'verify') {
    const text = (await readIfThere(file)) ?? ''
    const parsed = parseHtpasswd(text, file)
    if (!parsed.ok) throw new Error(parsed.problems.join('; '))
    const hash = parsed.users.get(user)
    const isRight = hash !== undefined && verifyBcrypt(password, hash)
    terminal.print(isRight ? `the password of ${user} is right` : 'user or password is wrong')
    return isRight ? 0 : 1
  }
  if (password === '') throw new Error('the password is empty')
  if (Buffer.byteLength(password) > passwordBytesMax) {
    throw new Error(`bcrypt looks at the first ${passwordBytesMax} bytes of a password only`)
  }
  await change(file, user, hashBcrypt(password))
  terminal.print(`the password of ${user} is set in ${file}`)
  return 0
}

/** Behind a symbolic link the file itself is replaced; mode and owner of an old one are kept. */
async function change(file: string, user: string, hash: string | undefined): Promise<void> {
  const path = await realpath(file).catch(() => file)
  // Two commands that run together must not undo each other's work.
  await withLock(`${path}.lock`, async () => {
    const text = (await readIfThere(path)) ?? ''
    const next = editHtpasswd(text, user, hash)
    const isThere = text.split('\n').some((line) => line.trim().startsWith(`${user}:`))
    if (hash === undefined && !isThere) {
      throw new Error(`there is no user "${user}" in ${file}`)
    }
    const mode = await stat(path).then(
      (found) => found.mode & 0o777,
      () => 0o640,
    )
    await replaceFile(path, next, mode)
  })
}

/** The first line of standard input; typed at a terminal, it is not shown. */
function readSecret(prompt: string): Promise<string> {
  const { stdin, stderr } = process
  const isTerminal = stdin.isTTY === true
  if (isTerminal) stderr.write(prompt)
  const lines = createInterface({ input: stdin, terminal: isTerminal, historySize: 0 })
  return new Promise((resolve) => {
    let first = ''
    lines.once('line', (text) => {
      first = text
      lines.close()
    })
    lines.once('close', () => {
      if (isTerminal) stderr.write('\n')
      resolve(first)
    })
  })
}
