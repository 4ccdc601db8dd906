import type { Transport } from "@connectrpc/connect";

/** Merges two sets of headers. A header in `overrides` replaces the default of the same name. */
export function mergeHeaders(defaults: HeadersInit | undefined, overrides: HeadersInit | undefined): Headers {
  const merged = new Headers(defaults);
  new Headers(overrides).forEach((value, name) => merged.set(name, value));
  return merged;
}

/** Returns a transport that adds default headers to every call. The headers of the call take precedence. */
export function withHeaders(transport: Transport, headers: Headers): Transport {
  return {
    unary: (method, signal, timeoutMs, callHeaders, input, contextValues) =>
      transport.unary(method, signal, timeoutMs, mergeHeaders(headers, callHeaders), input, contextValues),
    stream: (method, signal, timeoutMs, callHeaders, input, contextValues) =>
      transport.stream(method, signal, timeoutMs, mergeHeaders(headers, callHeaders), input, contextValues),
  };
}
