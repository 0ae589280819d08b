/**
 * @module A private authority and certificates of its own, made by openssl in a folder of the test.
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'] as const

export interface Pair {
  readonly cert: string
  readonly key: string
}

export class Authority {
  readonly folder: string
  readonly cert: string
  readonly #key: string

  constructor(folder: string) {
    this.folder = folder
    this.cert = join(folder, 'ca.pem')
    this.#key = join(folder, 'ca.key')
    openssl(
      'req',
      '-x509',
      ...EC,
      '-days',
      '2',
      '-subj',
      '/CN=Test Authority',
      '-keyout',
      this.#key,
      '-out',
      this.cert,
    )
  }

  /** A certificate for these names: `DNS:localhost,IP:127.0.0.1`. */
  issue(file: string, names: string, days = 1): Pair {
    const [cert, key, request] = ['pem', 'key', 'csr'].map((end) =>
      join(this.folder, `${file}.${end}`),
    )
    openssl('req', ...EC, '-subj', `/CN=${file}`, '-keyout', key!, '-out', request!)
    const extensions = join(this.folder, `${file}.ext`)
    writeFileSync(extensions, `subjectAltName=${names}\n`)
    const until =
      days < 0
        ? ['-not_before', '20200101000000Z', '-not_after', '20200102000000Z']
        : ['-days', String(days)]
    const by = ['-CA', this.cert, '-CAkey', this.#key, '-CAcreateserial', '-extfile', extensions]
    if (days < 0) expired(this.folder, request!, this.cert, this.#key, cert!, extensions)
    else openssl('x509', '-req', '-in', request!, ...by, ...until, '-out', cert!)
    return { cert: cert!, key: key! }
  }
}

/** `x509` of older openssl has no dates of its own; `ca` has. */
function expired(
  folder: string,
  request: string,
  ca: string,
  key: string,
  out: string,
  ext: string,
) {
  const [index, serial, config] = ['index', 'serial', 'ca.cnf'].map((name) => join(folder, name))
  writeFileSync(index!, '')
  writeFileSync(serial!, '01\n')
  writeFileSync(
    config!,
    `[ca]\ndefault_ca=d\n[d]\ndatabase=${index}\nserial=${serial}\nnew_certs_dir=${folder}\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n`,
  )
  const dates = ['-startdate', '200101000000Z', '-enddate', '200102000000Z']
  openssl(
    'ca',
    '-batch',
    '-config',
    config!,
    '-in',
    request,
    '-cert',
    ca,
    '-keyfile',
    key,
    ...dates,
    '-extfile',
    ext,
    '-out',
    out,
  )
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
