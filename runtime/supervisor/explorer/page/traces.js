// What requests and events have caused, newest first, as they come; one of them as a waterfall.
import { follow } from "./follow.js";

const KEPT = 100; // rows

export default async function traces(root, state, kit) {
  const { element, field, time } = kit;
  const filter = element("input", { type: "search", className: "grow", placeholder: "path, name or binding", autocomplete: "off" });
  const clear = element("button", { type: "button", textContent: "Clear" });
  const told = element("p", { className: "row soft", role: "status", textContent: "Waiting for the first request" });
  const list = kit.table("Traces, newest first", ["Time", "What", "ms", "Spans"]);
  for (const head of list.node.querySelectorAll("th")) head.classList.toggle("number", ["ms", "Spans"].includes(head.textContent));
  list.node.classList.add("short");
  const one = element("div");
  root.append(element("h2", { textContent: "Traces" }),
    element("p", { className: "soft", textContent: "Recorded while this page is open, and for five minutes after." }),
    element("div", { className: "row" }, ...field("Filter", filter), clear),
    list.node, told, one);

  const matches = (node) => node.textContent.toLowerCase().includes(filter.value.trim().toLowerCase());

  function row(event) {
    const whole = event.spans[0];
    const button = element("button", { type: "button", className: "link mono", textContent: event.name });
    button.addEventListener("click", () => {
      for (const other of list.body.rows) other.removeAttribute("aria-current");
      node.setAttribute("aria-current", "true");
      open(event).focus();
    });
    const names = element("span", { className: "hide", textContent: ` ${event.spans.slice(1).map((span) => span.name).join(" ")}` });
    const node = element("tr", {}, element("td", { className: "time", textContent: time(event.at) }), element("td", {}, button, names),
      element("td", { className: "number", textContent: shown(whole.ms) }),
      element("td", { className: event.spans.some((span) => span.failed) ? "number s5" : "number",
        textContent: `${event.spans.length}${event.spans.some((span) => span.failed) ? " ✘" : ""}` }));
    node.hidden = !matches(node);
    return node;
  }

  function open(event) {
    const end = Math.max(0.001, ...event.spans.map((span) => span.start + (span.ms ?? 0)));
    const table = kit.table(`Spans of ${event.name}`, ["Span", "Starts", "Takes", ""]);
    table.body.append(...ordered(event.spans).map(([span, depth]) => bar(span, depth, end)));
    table.node.classList.add("waterfall");
    for (const head of [...table.node.querySelectorAll("th[scope=col]")].slice(1, 3)) head.className = "number";
    const left = event.left ? element("p", { className: "soft", textContent: `${event.left} more spans found no place.` }) : null;
    const card = element("section", { className: "card", tabIndex: -1, "aria-label": `Trace ${event.name}` },
      element("h3", { textContent: `${event.name}, ${new Date(event.at).toLocaleString()}` }), table.node, left);
    one.replaceChildren(card);
    return card;
  }

  function bar(span, depth, end) {
    const facts = Object.entries(span.facts ?? {}).map(([key, value]) => [key, Array.isArray(value) ? value.join(", ") : String(value)]);
    const label = { className: "mono", textContent: span.name };
    const name = element("th", { scope: "row" }, facts.length
      ? element("details", {}, element("summary", label), kit.facts(facts)) : element("span", label));
    name.style.paddingLeft = `${0.8 + depth}rem`;
    if (span.failed) name.append(element("small", { className: "s5", textContent: `failed: ${span.failed}` }));
    const line = element("span", { className: span.failed ? "bar failed" : `bar ${span.kind}`, ariaHidden: "true" });
    line.style.marginLeft = `${(100 * span.start) / end}%`;
    line.style.width = `${Math.max(0.5, (100 * (span.ms ?? end - span.start)) / end)}%`;
    return element("tr", {}, name, element("td", { className: "number", textContent: `${shown(span.start)} ms` }),
      element("td", { className: "number", textContent: span.ms === undefined ? "goes on" : `${shown(span.ms)} ms` }),
      element("td", { className: "lane" }, line));
  }

  function tell(trouble = "") {
    const count = list.body.rows.length;
    told.textContent = trouble || `${count} ${count === 1 ? "trace" : "traces"}`;
  }

  filter.addEventListener("input", () => { for (const node of list.body.rows) node.hidden = !matches(node); });
  clear.addEventListener("click", () => { list.body.replaceChildren(); one.replaceChildren(); tell(); });
  return follow(kit, "traces", {
    begin: () => list.body.replaceChildren(),
    add(events) {
      list.body.prepend(...events.slice(-KEPT).map(row).reverse());
      while (list.body.rows.length > KEPT) list.body.lastChild.remove();
      tell();
    },
    tell,
  });
}

const shown = (ms) => (ms === undefined ? "" : ms.toFixed(ms < 10 ? 2 : 0));

// Each span under its parent, in the order they began: [span, depth].
function ordered(spans) {
  const below = new Map();
  spans.forEach((span, at) => {
    const parent = span.parent ?? -1;
    below.set(parent, [...(below.get(parent) ?? []), at]);
  });
  const found = [];
  const walk = (parent, depth) => {
    for (const at of below.get(parent) ?? []) {
      found.push([spans[at], depth]);
      walk(at, depth + 1);
    }
  };
  walk(-1, 0);
  return found;
}
