/** @module A small HTTP server that answers JSON by path, and remembers what it was asked. */
import { createServer, type IncomingHttpHeaders } from 'node:http'

export interface ApiRequest {
  readonly method: string
  readonly url: URL
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface ApiAnswer {
  readonly status?: number
  readonly json?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface ApiStandIn {
  readonly url: string
  readonly asked: readonly ApiRequest[]
  close(): Promise<void>
}

/** 404 for what `answer` does not know. */
export async function startApi(
  answer: (request: ApiRequest) => ApiAnswer | undefined,
): Promise<ApiStandIn> {
  const asked: ApiRequest[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { method = '', headers } = request
    const url = new URL(request.url ?? '', 'http://x')
    const one = { method, url, headers, body: Buffer.concat(chunks).toString() }
    asked.push(one)
    const { status = 200, json = {}, headers: more = {} } = answer(one) ?? { status: 404 }
    response.writeHead(status, { 'Content-Type': 'application/json', ...more })
    response.end(method === 'HEAD' ? undefined : JSON.stringify(json))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    close: () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      return closed
    },
  }
}
