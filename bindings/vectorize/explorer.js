// One index: what it is, its vectors by id, and the nearest to one of them or to numbers.
const PAGE = 100; // ids
const SHOWN = 16; // numbers of a vector

export default async function show(root, binding, kit) {
  const { element, field } = kit;
  const base = `vectorize/v2/indexes/${encodeURIComponent(binding.facts.name)}`;
  const post = async (path, json) => (await kit.api(`${base}/${path}`, { json })).result;
  const from = element("input", { className: "grow mono", autocomplete: "off", spellcheck: false, placeholder: "an id, or [0.1, 0.2, …]" });
  const most = element("input", { type: "number", min: 1, max: 50, value: "10" });
  const namespace = element("input", { autocomplete: "off", placeholder: "any" });
  const filter = element("input", { className: "grow mono", autocomplete: "off", spellcheck: false, placeholder: '{"kind": "note"}' });
  const find = element("button", { className: "main", textContent: "Find" });
  const more = element("button", { type: "button", textContent: "More ids", hidden: true });
  const about = element("div");
  const found = element("div", { "aria-live": "polite" });
  const ids = kit.table("Vectors", ["Id"]);
  const problem = kit.problems();
  ids.node.classList.add("tall");
  const form = element("form", {},
    element("div", { className: "row" }, ...field("Nearest to", from), ...field("How many", most)),
    element("div", { className: "row" }, ...field("Filter", filter), ...field("Namespace", namespace), find));
  root.append(about, form, problem.node,
    element("div", { className: "halves" }, element("div", {}, ids.node, element("p", { className: "row" }, more)), found));

  let cursor = "";

  async function info() {
    const { result } = await kit.api(`${base}/info`);
    about.replaceChildren(kit.facts([["Vectors", result.vectorCount], ["Dimensions", result.dimensions]]));
  }

  async function page() {
    const { result } = await kit.api(`${base}/list?${new URLSearchParams({ count: PAGE, ...(cursor ? { cursor } : {}) })}`);
    ids.add(...result.vectors.map(({ id }) => [opener(id)]));
    cursor = result.nextCursor ?? "";
    more.hidden = !cursor;
  }

  function opener(id) {
    const button = element("button", { type: "button", className: "link mono", textContent: id });
    button.addEventListener("click", () => problem.run(() => open(id)));
    return button;
  }

  async function open(id) {
    const [vector] = await post("get_by_ids", { ids: [id] });
    if (!vector) throw new Error(`There is no vector ${id} any more.`);
    const near = element("button", { type: "button", textContent: "Nearest to this" });
    near.addEventListener("click", () => { from.value = id; form.requestSubmit(); });
    const rest = vector.values.length > SHOWN ? `, … (${vector.values.length})` : "";
    const numbers = vector.values.slice(0, SHOWN).map((value) => Number(value.toPrecision(6))).join(", ") + rest;
    found.replaceChildren(element("div", { className: "card" }, element("h3", { textContent: id }),
      kit.facts([["Values", numbers], ["Namespace", vector.namespace], ["Metadata", vector.metadata && JSON.stringify(vector.metadata)]]),
      element("p", { className: "row" }, near)));
  }

  async function nearest() {
    const text = from.value.trim();
    const query = { topK: Number(most.value), returnMetadata: "all" };
    if (namespace.value.trim()) query.namespace = namespace.value.trim();
    if (filter.value.trim()) query.filter = JSON.parse(filter.value);
    if (text.startsWith("[")) query.vector = JSON.parse(text);
    else query.vectorId = text;
    const { matches } = await post("query", query);
    const rows = matches.map(({ id, score, metadata }) => [opener(id), Number(score.toFixed(6)), metadata ? JSON.stringify(metadata) : ""]);
    found.replaceChildren(rows.length ? kit.table("Matches", ["Id", "Score", "Metadata"], rows).node
      : element("p", { className: "row soft", textContent: "Nothing matches." }));
  }

  form.addEventListener("submit", (event) => { event.preventDefault(); problem.run(nearest, find); });
  more.addEventListener("click", () => problem.run(page, more));
  await info();
  await page();
}
