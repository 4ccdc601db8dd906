import type { Transport } from "@connectrpc/connect";

/** Returns both sets of headers. Those of `own` take precedence. */
export function combine(defaults: HeadersInit | undefined, own: HeadersInit | undefined): Headers {
  const combined = new Headers(defaults);
  new Headers(own).forEach((value, name) => combined.set(name, value));
  return combined;
}

/** Returns a transport that sends these headers with every call. Headers of a call take precedence. */
export function withHeaders(transport: Transport, headers: Headers): Transport {
  return {
    unary: (method, signal, timeoutMs, own, input, contextValues) =>
      transport.unary(method, signal, timeoutMs, combine(headers, own), input, contextValues),
    stream: (method, signal, timeoutMs, own, input, contextValues) =>
      transport.stream(method, signal, timeoutMs, combine(headers, own), input, contextValues),
  };
}
