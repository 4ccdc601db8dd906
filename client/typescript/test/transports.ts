import type { Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";

import { type ClientOptions, OpenAIConnect } from "../src/index.js";

/** The transports for Node.js, by name. */
export const transports: [string, (baseUrl: string) => Transport][] = [
  ["Connect over HTTP/1.1", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
  ["Connect over HTTP/2", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" })],
  ["Connect JSON", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false })],
  ["Connect GET", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useHttpGet: true })],
  ["gRPC", (baseUrl) => createGrpcTransport({ baseUrl })],
  ["gRPC-Web", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
  ["gRPC-Web over HTTP/2", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" })],
];

/** The names of the transports with HTTP/1.1. */
export const http1 = new Set(["Connect over HTTP/1.1", "Connect JSON", "Connect GET", "gRPC-Web"]);

/** The client options that don't select a server or a transport. */
type Options = Omit<ClientOptions, "baseUrl" | "transport" | "protocol" | "fetch" | "maxMessageBytes">;

/** Constructors of clients with each transport and with fetch, by name. */
export const clients: [string, (baseUrl: string, options?: Options) => OpenAIConnect][] = [
  ["Connect with fetch", (baseUrl, options) => new OpenAIConnect({ ...options, baseUrl })],
  ["gRPC-Web with fetch", (baseUrl, options) => new OpenAIConnect({ ...options, baseUrl, protocol: "grpc-web" })],
  ...transports.map(
    ([name, transport]): (typeof clients)[number] => [name, (baseUrl, options) => new OpenAIConnect({ ...options, transport: transport(baseUrl) })],
  ),
];
