/**
 * @module nginx with sendfile, serving blobs as static files under the paths of a registry: what the
 * operating system gives to a program that does nothing else.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, userInfo } from 'node:os'
import { join } from 'node:path'
import { findProgram, freePort, loopback, startProcess, versionLine } from '../child-process.ts'
import type { BenchServer, ServerKind, StartOptions } from '../server.ts'

export function nginxKind(): ServerKind {
  const program = findProgram('nginx')
  return {
    name: 'nginx',
    version: program && versionLine(program, '-v').replace('nginx version: ', ''),
    isRegistry: false,
    start: (options) => start(program!, options),
  }
}

async function start(program: string, { folder }: StartOptions): Promise<BenchServer> {
  const port = await freePort()
  const www = join(folder, 'www')
  mkdirSync(www, { recursive: true })
  const file = join(folder, 'nginx.conf')
  writeFileSync(file, config(folder, www, port))
  const { pid, startMs, stop } = await startProcess({
    command: program,
    args: ['-c', file, '-e', join(folder, 'errors.log'), '-g', 'daemon off;'],
    port,
    errorFile: join(folder, 'stderr.log'),
  })
  return { name: 'nginx', target: { host: loopback, port, isTls: false }, pid, startMs, stop }
}

function config(folder: string, www: string, port: number): string {
  const { username, uid } = userInfo()
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `  ${name}_temp_path ${folder}/${name};`)
    .join('\n')
  return `${uid === 0 ? `user ${username};\n` : ''}worker_processes ${availableParallelism()};
pid ${folder}/nginx.pid;
error_log ${folder}/errors.log error;
events {
  worker_connections 4096;
}
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  default_type application/octet-stream;
${temporary}
  server {
    listen ${loopback}:${port};
    root ${www};
    location = /v2/ {
      return 200;
    }
  }
}
`
}
