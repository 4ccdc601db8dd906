/** The page of headers.browser.test.ts. */
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

import { type Call, makeCall, type Outcome } from "../calls.js";

const transports = {
  Connect: (baseUrl: string) => createConnectTransport({ baseUrl, useBinaryFormat: true }),
  "Connect JSON": (baseUrl: string) => createConnectTransport({ baseUrl }),
  "Connect GET": (baseUrl: string) => createConnectTransport({ baseUrl, useHttpGet: true }),
  "gRPC-Web": (baseUrl: string) => createGrpcWebTransport({ baseUrl }),
};

/** The name of a transport available in browsers. */
export type TransportName = keyof typeof transports;

/** Makes a typed call. */
export function typed(name: TransportName, baseUrl: string, call: Call, headers: Record<string, string>): Promise<Outcome> {
  return makeCall(transports[name](baseUrl), call, headers);
}

/** Sends a raw request with an API key. */
export async function raw(
  baseUrl: string,
  body: unknown,
  headers: Record<string, string>,
): Promise<{ status: number; text: string; headers: Record<string, string> }> {
  const response = await fetch(`${baseUrl}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer sk-test", ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text(), headers: Object.fromEntries(response.headers) };
}
