// What every view is made with: elements, calls with the token, tables, streams.
const ACCOUNT = "/client/v4/accounts/explorer/";
let token = "explorer"; // in pilot dev any will do

export class Refused extends Error {}

export function useToken(text) {
  token = text;
}

// An element. Text goes in as text, never as markup.
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node && !name.includes("-")) node[name] = value;
    else if (value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// fetch with the token. Throws Refused where that is not good enough, and an Error with what the server says.
export async function ask(path, options = {}) {
  const response = await fetch(path, { ...options, headers: { ...options.headers, authorization: `Bearer ${token}` } });
  if (response.ok) return response;
  const text = await response.text();
  const said = message(text) || `The server answered ${response.status}.`;
  throw response.status === 401 || response.status === 403 ? new Refused(said) : new Error(said);
}

function message(text) {
  try {
    const body = JSON.parse(text);
    return (body.errors ?? []).map((error) => error.message).join("\n") || body.error?.message || body.error;
  } catch {
    return text.slice(0, 500);
  }
}

// Cloudflare's REST API below the account: {result, result_info}.
export async function api(path, { json, ...options } = {}) {
  if (json !== undefined) {
    options = { method: "POST", ...options, body: JSON.stringify(json), headers: { "content-type": "application/json" } };
  }
  return (await ask(ACCOUNT + path, options)).json();
}

export const raw = (path, options) => ask(ACCOUNT + path, options);

// The data of each server-sent event, as JSON.
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split(/\r?\n\r?\n/);
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("\n");
      if (data && data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

// As much of a body as ``most`` bytes: {bytes, whole}.
export async function some(response, most) {
  const reader = response.body?.getReader();
  const parts = [];
  let size = 0;
  while (reader && size <= most) {
    const { value, done } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
  }
  if (size > most) await reader.cancel();
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  return { bytes: bytes.slice(0, most), whole: size <= most };
}

// The text that bytes are, or null.
export function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

export function hex(bytes, most = 512) {
  const shown = Array.from(bytes.slice(0, most), (byte) => byte.toString(16).padStart(2, "0"));
  const lines = [];
  for (let at = 0; at < shown.length; at += 16) lines.push(shown.slice(at, at + 16).join(" "));
  return lines.join("\n") + (bytes.length > most ? "\n…" : "");
}

// A table that scrolls, which a keyboard can do too. ``rows``: arrays of text, numbers or elements.
export function table(caption, columns, rows = []) {
  const body = element("tbody", {}, ...rows.map(row));
  const isNumber = (at) => typeof rows.find((cells) => cells[at] !== null)?.[at] === "number";
  const head = element("tr", {}, ...columns.map((name, at) =>
    element("th", { scope: "col", textContent: name, className: isNumber(at) ? "number" : "" })));
  const whole = element("table", {}, element("caption", { className: "hide", textContent: caption }), element("thead", {}, head), body);
  const node = element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": caption }, whole);
  return { node, body, add: (...more) => body.append(...more.map(row)) };
}

export function row(cells) {
  return element("tr", {}, ...cells.map(cell));
}

function cell(value) {
  if (value === null || value === undefined) return element("td", { className: "null", textContent: "NULL" });
  if (value instanceof Node) return element("td", { className: "cell" }, value);
  if (typeof value === "number") return element("td", { className: "number", textContent: String(value) });
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return element("td", { className: "cell", textContent: text.length > 2000 ? text.slice(0, 2000) + "…" : text });
}

export function facts(pairs) {
  return element("dl", {}, ...pairs.flatMap(([name, value]) =>
    [element("dt", { textContent: name }), element("dd", { textContent: value ?? "" })]));
}

// A place for what went wrong, and ``run(work)``: which says it there, with the button disabled meanwhile.
export function problems() {
  const node = element("p", { className: "problem", role: "alert", hidden: true });
  const say = (text) => {
    node.textContent = text;
    node.hidden = !text;
  };
  const run = async (work, button) => {
    say("");
    if (button) button.disabled = true;
    try {
      return await work();
    } catch (error) {
      if (error.name !== "AbortError") say(error.message);
    } finally {
      if (button) button.disabled = false;
    }
  };
  return { node, say, run };
}

// A labelled field: ``node`` for a row, ``input`` for its value.
let fields = 0;
export function field(label, input) {
  input.id ||= `field${++fields}`;
  return [element("label", { htmlFor: input.id, textContent: label }), input];
}

export const time = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });
