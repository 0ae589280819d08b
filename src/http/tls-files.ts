/**
 * @module Certificates and keys from PEM files, checked before a listener gets them: each mistake is
 * told with its file and what to do. TLS 1.2 and newer with forward secrecy and AEAD ciphers only.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { TlsFiles, TlsPair } from './engine.ts'

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

async function readPair(files: TlsPair): Promise<LoadedPair> {
  const [cert, key] = await Promise.all([
    readTlsFile('certificate', files.cert),
    readTlsFile('key', files.key),
  ])
  const certificate = attempt(files, () => new X509Certificate(cert))
  const privateKey: KeyObject = attempt(files, () => createPrivateKey(key))
  if (!certificate.checkPrivateKey(privateKey)) {
    throw unusable(files, 'the key is not the one of the certificate')
  }
  if (Date.parse(certificate.validTo) <= Date.now()) {
    throw new Error(`TLS certificate ${files.cert} has expired (${certificate.validTo}): renew it`)
  }
  const { createSecureContext } = await import('node:tls')
  attempt(files, () => createSecureContext({ cert, key }))
  return { files, cert, key, names: namesOf(certificate) }
}

function namesOf({ subjectAltName }: X509Certificate): readonly string[] {
  return (subjectAltName ?? '')
    .split(', ')
    .filter((entry) => entry.startsWith('DNS:'))
    .map((entry) => entry.slice('DNS:'.length))
}

function attempt<T>(files: TlsPair, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw unusable(files, error instanceof Error ? error.message : String(error))
  }
}

function unusable({ cert, key }: TlsPair, reason: string): Error {
  return new Error(
    `TLS certificate ${cert} and key ${key} do not work: ${reason}; give two PEM files of one pair`,
  )
}

async function readTlsFile(role: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new Error(`TLS ${role} ${path} cannot be read (${code}): check the path and its owner`)
  }
}
