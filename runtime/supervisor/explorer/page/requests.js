// Requests and what was printed meanwhile, newest first, as they come.
import { follow } from "./follow.js";

const KEPT = 500; // rows

export default async function requests(root, state, kit) {
  const { element, field, time } = kit;
  const several = state.workers.length > 1 || state.onHost;
  const filter = element("input", { type: "search", className: "grow", placeholder: "path, status or text", autocomplete: "off" });
  const pause = element("button", { type: "button", textContent: "Pause", "aria-pressed": "false" });
  const clear = element("button", { type: "button", textContent: "Clear" });
  const told = element("p", { className: "row soft", role: "status", textContent: "Waiting for the first request" });
  const columns = ["Time", ...(several ? ["Worker"] : []), "Method", "Path", "Status", "ms", ""];
  const list = kit.table("Requests and log lines, newest first", columns);
  list.node.classList.add("tall");
  for (const head of list.node.querySelectorAll("th")) head.classList.toggle("number", ["Status", "ms"].includes(head.textContent));
  root.append(element("h2", { textContent: "Requests" }),
    element("div", { className: "row" }, ...field("Filter", filter), pause, clear), told, list.node);

  let waiting = [];
  let missed = 0;
  let count = 0;
  const paused = () => pause.getAttribute("aria-pressed") === "true";
  const matches = (node) => node.textContent.toLowerCase().includes(filter.value.trim().toLowerCase());

  function line(event) {
    const text = element("td", { className: `mono ${event.level}`, colSpan: columns.length - (several ? 2 : 1) });
    text.append(element("span", { className: "hide", textContent: `${event.level}: ` }), event.text);
    const worker = several ? [element("td", { textContent: event.worker ?? "" })] : [];
    return element("tr", { className: "line" }, element("td", { className: "time", textContent: time(event.at) }), ...worker, text);
  }

  function request(event) {
    const more = [event.first_ms && `first byte ${event.first_ms.toFixed(0)} ms`, event.tokens && `${event.tokens} tokens`,
      event.tokens_per_s && `${event.tokens_per_s.toFixed(1)}/s`, event.note];
    const cells = [["time", time(event.at)], ...(several ? [["", event.worker ?? ""]] : []), ["mono", event.method], ["mono", event.path],
      [`number s${String(event.status)[0]}`, event.status], ["number", event.ms.toFixed(event.ms < 10 ? 1 : 0)], ["soft", more.filter(Boolean).join(", ")]];
    return element("tr", {}, ...cells.map(([className, textContent]) => element("td", { className, textContent })));
  }

  function empty() {
    list.body.replaceChildren();
    waiting = [];
    count = missed = 0;
  }

  function add(events, lost) {
    missed += lost;
    if (paused()) waiting = [...waiting, ...events].slice(-KEPT);
    else draw(events);
  }

  function draw(events) {
    const rows = events.slice(-KEPT).map((event) => (event.kind === "line" ? line : request)(event));
    for (const node of rows) node.hidden = !matches(node);
    list.body.prepend(...rows.reverse());
    while (list.body.rows.length > KEPT) list.body.lastChild.remove();
    count += events.filter((event) => event.kind === "request").length;
    tell();
  }

  function tell(trouble = "") {
    const lost = missed ? `, ${missed} events came too fast to be shown` : "";
    told.textContent = trouble || `${count} ${count === 1 ? "request" : "requests"}${lost}`;
  }

  filter.addEventListener("input", () => { for (const node of list.body.rows) node.hidden = !matches(node); });
  clear.addEventListener("click", () => { empty(); tell(); });
  pause.addEventListener("click", () => {
    pause.setAttribute("aria-pressed", String(!paused()));
    pause.textContent = paused() ? "Go on" : "Pause";
    if (!paused()) { draw(waiting); waiting = []; }
  });

  return follow(kit, "events", { begin: empty, add, tell });
}
