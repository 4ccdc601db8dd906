import type { Transport } from "@connectrpc/connect";

/** The headers of both, where those of `own` win. */
export function combine(defaults: HeadersInit | undefined, own: HeadersInit | undefined): Headers {
  const combined = new Headers(defaults);
  new Headers(own).forEach((value, name) => combined.set(name, value));
  return combined;
}

/** A transport that sends these headers with every call. A call's own win. */
export function withHeaders(transport: Transport, headers: Headers): Transport {
  return {
    unary: (method, signal, timeoutMs, own, input, contextValues) =>
      transport.unary(method, signal, timeoutMs, combine(headers, own), input, contextValues),
    stream: (method, signal, timeoutMs, own, input, contextValues) =>
      transport.stream(method, signal, timeoutMs, combine(headers, own), input, contextValues),
  };
}
