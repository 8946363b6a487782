// env.AI for a JavaScript worker under `wrangler dev`, answered by Pilotlight: docs/wrangler.md says how to bind it.
//
// It speaks the wire of the real binding: each request names, in X-Forwarded, the URL that the binding would have
// asked, and the answers are the binding's own.

import { RpcTarget, WorkerEntrypoint } from "cloudflare:workers";

const JSON_TYPE = "application/json";
let last = null; // the response of the call that ended last

export class AI extends WorkerEntrypoint {
  get lastRequestId() { return header("cf-ai-req-id"); }
  get aiGatewayLogId() { return header("cf-aig-log-id"); }
  get lastRequestHttpStatusCode() { return last?.status ?? null; }

  async run(model, inputs, options) { return rejecting(() => this.#run(model, inputs, options)); }

  async #run(model, inputs, options = {}) {
    const { prefix, extraHeaders, sessionOptions, signal, ...sent } = options;
    const id = prefix ? `${prefix}:${model}` : model;
    const headers = { ...sessionOptions?.extraHeaders, ...extraHeaders, "cf-consn-model-id": id };
    const response = last = await send(this.env, ...runRequest(inputs, sent, headers), signal);
    if (sent.returnRawResponse) return response;
    if (!response.ok) throw failure(await response.text());
    return response.headers.get("content-type") === JSON_TYPE ? response.json() : response.body;
  }

  async models(params = {}) {
    return rejecting(() => result(this.env, "AiInternalError", `/ai-api/models/search?${new URLSearchParams(params)}`));
  }

  toMarkdown(files, options) {
    const converter = new ToMarkdown(this.env);
    return files === undefined ? converter : converter.transform(files, options);
  }

  gateway(id) { return new AIGateway(this.env, id); }
}

class ToMarkdown extends RpcTarget {
  #env;
  constructor(env) { super(); this.#env = env; }

  async supported() { return rejecting(() => result(this.#env, "AiInternalError", "/to-everything/markdown/supported")); }

  async transform(files, options) { return rejecting(() => this.#transform(files, options)); }

  async #transform(files, options) {
    const documents = await Promise.all([files].flat().map(file));
    const body = json({ files: documents, options });
    const results = await result(this.#env, "AiInternalError", "/to-everything/markdown/transformer", body);
    return Array.isArray(files) ? results : results[0];
  }
}

class AIGateway extends RpcTarget {
  #env; #id;
  constructor(env, id) { super(); this.#env = env; this.#id = encodeURIComponent(id); }

  async getUrl(provider = "universal") { return rejecting(async () => (await this.#call(`url/${provider}`)).url); }

  async patchLog(log, changes) {
    return rejecting(async () => { await this.#call(`logs/${log}`, { ...json(changes), method: "PATCH" }); });
  }

  async getLog(log) {
    return rejecting(async () => {
      const content = await this.#call(`logs/${log}`);
      return { ...content, created_at: new Date(content.created_at) };
    });
  }

  async run(requests, { gateway = {}, extraHeaders, signal } = {}) {
    const list = [requests].flat().map((one) => ({ ...one, headers: { ...gatewayHeaders(gateway), ...one.headers } }));
    return rejecting(() => send(this.#env, `/ai-gateway/universal/run/${this.#id}`, json(list, extraHeaders), signal));
  }

  #call(path, init) { return result(this.#env, "AiGatewayInternalError", `/ai-gateway/gateways/${this.#id}/${path}`, init); }
}

// The options of a gateway's run as the headers that say the same.
function gatewayHeaders(gateway) {
  const names = { skipCache: "skip-cache", cacheTtl: "cache-ttl", cacheKey: "cache-key", collectLog: "collect-log",
    eventId: "event-id", requestTimeoutMs: "request-timeout", metadata: "metadata" };
  const text = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));
  const present = Object.entries(names).filter(([name]) => gateway[name] !== undefined);
  return Object.fromEntries(present.map(([name, header]) => [`cf-aig-${header}`, text(gateway[name])]));
}

// [path, init] of a run: JSON, or the one input that is a stream, with the others in the query.
function runRequest(inputs, options, headers) {
  const streams = Object.keys(inputs ?? {}).filter((key) => inputs[key]?.body instanceof ReadableStream);
  if (!streams.length) {
    const path = options.gateway?.id ? "/ai-gateway/run" : "/run";
    return [`${path}?version=3`, json({ inputs, options }, headers)];
  }
  if (streams.length > 1) {
    throw namedError("AiInternalError", `Multiple ReadableStreams are not supported. Found streams in keys: [${streams.join(", ")}]`);
  }
  const { [streams[0]]: { body, contentType }, ...others } = inputs;
  if (!contentType) throw namedError("AiInternalError", "Content-Type is required with ReadableStream inputs");
  if (options.gateway?.id) throw namedError("AiInternalError", "AI Gateway does not support ReadableStreams yet.");
  const query = new URLSearchParams({ ...options, version: "3", userInputs: JSON.stringify(others) });
  return [`/run?${query}`, { body, headers: { ...headers, "content-type": contentType } }];
}

function send(env, path, { method = "POST", body, headers } = {}, signal) {
  return fetch(`${env.PILOT_URL}/client/v4/accounts/local/ai/run/proxy`, {
    method, body, signal, headers: {
      ...headers, authorization: `Bearer ${env.PILOT_API_TOKEN || "none"}`,
      "x-forwarded": `https://workers-binding.ai${path}`, "cf-consn-sdk-version": "2.0.0",
    },
  });
}

async function result(env, kind, path, init = { method: "GET" }) {
  const response = await send(env, path, init);
  const { result, errors } = await response.json();
  if (response.ok) return result;
  const missing = kind === "AiGatewayInternalError" && response.status === 404 && path.includes("/logs/");
  throw namedError(missing ? "AiGatewayLogNotFound" : kind, errors[0].message);
}

// What the binding makes of a refusal: the body's own name, or its first error, or its text.
function failure(text) {
  let body = {};
  try { body = JSON.parse(text) ?? {}; } catch { /* not JSON: the text itself is the message */ }
  if (body.internalCode) return namedError(body.name, `${body.internalCode}: ${body.description}`);
  const [error] = body.errors ?? [];
  return namedError("InferenceUpstreamError", error ? `${error.code}: ${error.message}` : text);
}

// The result of `work`; an error is thrown where the caller awaits it, not here. Wrangler logs whatever an RPC method throws
// as uncaught, also when the caller catches it. So the error goes as a value that rejects whoever awaits it: a thenable.
// It must not be one yet for the promises on its way here; only who sends it reads `sent`, and that before `then`.
async function rejecting(work) {
  try { return await work(); } catch (error) {
    let then;
    return { get sent() { then = (_, reject) => { reject(error); }; return true; }, get then() { return then; } };
  }
}

function namedError(name, message) { return Object.assign(new Error(message), { name }); }

function header(name) { return last?.headers.get(name) ?? null; }

function json(body, headers) { return { body: JSON.stringify(body), headers: { ...headers, "content-type": JSON_TYPE } }; }

async function file({ name, blob }) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return { name, mimeType: blob.type, data: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")) };
}

export default { fetch: () => new Response("Bind this worker as the service AI; it has no pages.", { status: 404 }) };
