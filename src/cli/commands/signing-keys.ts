/**
 * @module `fastregistry signatures key create|show|rotate|forget`: the keys that the registry signs with. Works beside a
 * running server, which follows the file.
 */
import { changeSecretFile, readIfThere, secretFilePaths } from '../../auth/secret-file.ts'
import type { Config } from '../../config/config.ts'
import { parseDuration } from '../../config/quantities.ts'
import { systemClock } from '../../runtime/clock.ts'
import { readText } from '../../runtime/text-file.ts'
import {
  fingerprintOf,
  formatSigningKeys,
  keptSigningKeys,
  noSigningKeys,
  parseSigningKeys,
  publicKeysOf,
  readPrivateKey,
  rotateSigningKeys,
  type SigningKeyFile,
  withForeignKey,
  withoutKey,
} from '../../signing/attest/keys.ts'
import type { CommandLine, RunCommand } from '../command.ts'
import { configOf, Misuse, reportFailure } from '../command-line.ts'
import type { Terminal } from '../terminal.ts'

/** How long a new key is published before it signs, ms; and at most. */
const afterMsDefault = 7 * 86_400_000
const afterMsMax = 365 * 86_400_000

const withConfig =
  (
    what: string,
    work: (config: Config, line: CommandLine, terminal: Terminal) => Promise<number>,
  ): RunCommand =>
  async (line, terminal) => {
    const config = await configOf(line, terminal)
    return reportFailure(terminal, `signatures key ${what} failed`, () =>
      work(config, line, terminal),
    )
  }

export const signingKeyCreate = withConfig('create', async (config, _line, terminal) => {
  requireOwn(config)
  const file = await change(config, async (before, now) => {
    if (before.keys.length > 0) throw new Error('there is a key already; rotate replaces it')
    return keptSigningKeys(before, now, false)
  })
  terminal.print(file.keys.map(({ publicKey }) => publicKey.trim()).join('\n'))
  return 0
})

export const signingKeyShow = withConfig('show', async (config, line, terminal) => {
  const text = await readIfThere(pathOf(config))
  const now = systemClock.now()
  const { keyFile } = config.signing.attest
  const own = text === undefined ? noSigningKeys : parseSigningKeys(text)
  const file =
    keyFile === undefined
      ? own
      : withForeignKey(own, readPrivateKey(await readText(keyFile)).publicKey, now)
  const keys = publicKeysOf(file, now)
  if (keys.length === 0) {
    throw new Error('there is no key yet; the first start with signing.attest.enabled makes it')
  }
  for (const [at, { publicKey, createdAt, signsFrom }] of keys.entries()) {
    const state = at === 0 ? 'signs' : signsFrom > now ? 'announced' : 'retired'
    const fields = { fingerprint: fingerprintOf(publicKey), state }
    const times = { createdAt: isoTime(createdAt), signsFrom: isoTime(signsFrom) }
    const pem = publicKey.trim()
    terminal.print(line.has('json') ? JSON.stringify({ ...fields, ...times, pem }) : pem)
  }
  return 0
})

export const signingKeyRotate: RunCommand = async (line, terminal) => {
  const afterMs = afterOf(line)
  const rotate = withConfig('rotate', async (config) => {
    requireOwn(config)
    const file = await change(config, (before, now) =>
      rotateSigningKeys(before, now, now + afterMs),
    )
    const { publicKey, signsFrom } = file.keys.at(-1)!
    const fingerprint = fingerprintOf(publicKey)
    terminal.print(
      `key ${fingerprint} signs from ${isoTime(signsFrom)} on; until then it is published`,
    )
    return 0
  })
  return rotate(line, terminal)
}

export const signingKeyForget = withConfig('forget', async (config, { operands }, terminal) => {
  const [fingerprint = ''] = operands
  await change(config, async (before, now) => withoutKey(before, fingerprint, now))
  terminal.print('the key is published no longer; what it signed does not verify any more')
  return 0
})

function afterOf(line: CommandLine): number {
  const text = line.text('after')
  if (text === undefined) return afterMsDefault
  const after = parseDuration(text)
  if (!after.ok) throw new Misuse(`--after: ${after.error}`)
  if (after.value > afterMsMax) throw new Misuse('--after: expected at most 365d')
  return after.value
}

/** What is in a file of the operator's is replaced there. */
function requireOwn({ signing: { attest } }: Config): void {
  if (attest.keyFile === undefined) return
  throw new Error(`signing.attest.key names the key: replace ${attest.keyFile}`)
}

async function change(
  config: Config,
  next: (file: SigningKeyFile, now: number) => Promise<SigningKeyFile>,
): Promise<SigningKeyFile> {
  let file = noSigningKeys
  await changeSecretFile(pathOf(config), async (text) => {
    const before = text === undefined ? noSigningKeys : parseSigningKeys(text)
    file = await next(before, systemClock.now())
    return formatSigningKeys(file)
  })
  return file
}

function pathOf({ storage }: Config): string {
  return secretFilePaths(storage.path).signingKeys
}

function isoTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`
}
