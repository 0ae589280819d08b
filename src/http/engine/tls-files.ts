/**
 * @module Certificates and keys from PEM files, checked before a listener gets them: each mistake is
 * told with its file and what to do. TLS 1.2 and newer with forward secrecy and AEAD ciphers only.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { TlsFiles, TlsPair } from './port.ts'

/** For TLS 1.2; those of TLS 1.3 are all good. */
export const strongCiphers = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

export interface LoadedPair {
  readonly files: TlsPair
  readonly cert: Buffer
  readonly key: Buffer
  /** DNS names of the certificate: what a client may ask for by SNI. */
  readonly names: readonly string[]
}

export interface LoadedTls extends LoadedPair {
  readonly sni: readonly LoadedPair[]
}

/** Reads and checks all files of a listener. */
export async function readTls(files: TlsFiles): Promise<LoadedTls> {
  const main = await readPair(files)
  return { ...main, sni: await Promise.all((files.sni ?? []).map(readPair)) }
}

/** A mistake of one of the two files, or (`cert`) of the pair. */
export class TlsFileError extends Error {
  readonly role: 'cert' | 'key'

  constructor(role: TlsFileError['role'], message: string) {
    super(message)
    this.role = role
  }
}

/** Reads and checks one certificate with its key. Rejects with `TlsFileError`. */
export async function readPair(files: TlsPair): Promise<LoadedPair> {
  const [cert, key] = await Promise.all([
    readTlsFile('cert', files.cert),
    readTlsFile('key', files.key),
  ])
  const certificate = attempt('cert', files, () => new X509Certificate(cert))
  const privateKey: KeyObject = attempt('key', files, () => createPrivateKey(key))
  if (!certificate.checkPrivateKey(privateKey)) {
    throw unusable('key', files, 'the key is not the one of the certificate')
  }
  if (Date.parse(certificate.validTo) <= Date.now()) {
    throw new TlsFileError(
      'cert',
      `TLS certificate ${files.cert} has expired (${certificate.validTo}): renew it`,
    )
  }
  const { createSecureContext } = await import('node:tls')
  attempt('cert', files, () => createSecureContext({ cert, key }))
  return { files, cert, key, names: namesOf(certificate) }
}

function namesOf({ subjectAltName }: X509Certificate): readonly string[] {
  return (subjectAltName ?? '')
    .split(', ')
    .filter((entry) => entry.startsWith('DNS:'))
    .map((entry) => entry.slice('DNS:'.length))
}

function attempt<T>(role: TlsFileError['role'], files: TlsPair, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw unusable(role, files, error instanceof Error ? error.message : String(error))
  }
}

function unusable(role: TlsFileError['role'], { cert, key }: TlsPair, reason: string): Error {
  return new TlsFileError(
    role,
    `TLS certificate ${cert} and key ${key} do not work: ${reason}; give two PEM files of one pair`,
  )
}

async function readTlsFile(role: TlsFileError['role'], path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const what = role === 'cert' ? 'certificate' : 'key'
    throw new TlsFileError(
      role,
      `TLS ${what} ${path} cannot be read (${code}): check the path and its owner`,
    )
  }
}
