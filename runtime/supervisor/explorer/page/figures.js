// What products say of themselves (a host's status has the same rows), and what has been counted.
export default async function figures(root, state, kit) {
  const { element, table } = kit;
  const refresh = element("button", { type: "button", textContent: "Refresh" });
  const told = element("div");
  const problem = kit.problems();
  root.append(element("h2", { textContent: "Models and figures" }), element("p", { className: "row" }, refresh), problem.node, told);

  async function draw() {
    const { status } = await (await kit.ask("state")).json();
    const counted = families(await (await kit.ask("metrics", { headers: { accept: "text/plain" } })).text());
    told.replaceChildren(...Object.entries(status).flatMap(([head, rows]) => [element("h3", { textContent: head[0].toUpperCase() + head.slice(1) }), sheet(head, rows)]),
      element("h3", { textContent: "Counted since the start" }),
      table("Figures", ["Figure", "Of", "Value"], counted).node);
  }

  function sheet(head, rows) {
    if (!rows.length) return element("p", { className: "soft", textContent: "None is loaded." });
    const columns = Object.keys(rows[0]);
    return table(head, columns, rows.map((one) => columns.map((name) => one[name] ?? "—"))).node;
  }

  refresh.addEventListener("click", () => problem.run(draw, refresh));
  await draw();
}

// Of Prometheus' text: [name, labels, value], a histogram as its count and mean.
function families(text) {
  const rows = new Map();
  for (const line of text.split("\n")) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!found || /_(bucket|created)$/.test(found[1])) continue;
    rows.set(`${found[1]}{${found[2] ?? ""}}`, { name: found[1], labels: found[2] ?? "", value: Number(found[3]) });
  }
  const shown = [];
  for (const { name, labels, value } of rows.values()) {
    const base = name.replace(/_(sum|count)$/, "");
    const count = rows.get(`${base}_count{${labels}}`)?.value;
    if (name.endsWith("_sum") && count !== undefined) continue;
    const sum = rows.get(`${base}_sum{${labels}}`)?.value;
    if (name.endsWith("_count") && sum !== undefined) {
      if (value) shown.push([`${base}, mean of ${value}`, said(labels), rounded(sum / value)]);
    } else shown.push([name, said(labels), rounded(value)]);
  }
  return shown.sort((one, other) => Number(one[0].startsWith("process_")) - Number(other[0].startsWith("process_")));
}

const said = (labels) => labels.replaceAll('",', ", ").replaceAll('"', "");
const rounded = (value) => (Number.isInteger(value) ? value : Number(value.toPrecision(4)));
