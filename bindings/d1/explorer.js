// One database: its tables, and SQL whose results are tables.
const SHOWN = 500; // rows of a result
const TABLES = "SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";

export default async function show(root, binding, kit) {
  const { element, field } = kit;
  const path = `d1/database/${encodeURIComponent(binding.facts.id)}/raw`;
  const query = async (sql) => (await kit.api(path, { json: { sql } })).result;
  const sql = element("textarea", { className: "mono", rows: 6, spellcheck: false, placeholder: "SELECT …" });
  const run = element("button", { className: "main", textContent: "Run" });
  const hint = element("span", { className: "soft", textContent: "Ctrl-Enter" });
  const tables = element("p", { className: "row", role: "group", "aria-label": "Tables" });
  const problem = kit.problems();
  const results = element("div", { "aria-live": "polite" });
  const form = element("form", {}, element("div", { className: "row" }), ...field("SQL", sql), element("p", { className: "row" }, run, hint));
  root.append(tables, form, problem.node, results);

  async function list() {
    const [{ results: { rows } }] = await query(TABLES);
    tables.replaceChildren(...(rows.length ? [] : [element("span", { className: "soft", textContent: "No table yet." })]),
      ...rows.map(([name]) => {
        const button = element("button", { type: "button", textContent: name });
        button.addEventListener("click", () => {
          sql.value = `SELECT * FROM "${name.replaceAll('"', '""')}" LIMIT 100`;
          ask();
        });
        return button;
      }));
  }

  function result({ results: { columns, rows }, meta }) {
    const took = `${meta.duration.toFixed(2)} ms, ${meta.rows_read} read, ${meta.rows_written} written`;
    const beyond = rows.length > SHOWN ? `, the first ${SHOWN} of them here` : "";
    const said = columns.length ? `${rows.length} ${rows.length === 1 ? "row" : "rows"}${beyond}; ${took}` : `Done; ${took}`;
    const parts = [element("p", { className: "row soft", textContent: said })];
    if (columns.length) {
      const sheet = kit.table("Result", columns, rows.slice(0, SHOWN));
      sheet.node.classList.add("tall");
      parts.push(sheet.node);
    }
    return parts;
  }

  const ask = () => problem.run(async () => {
    results.replaceChildren(...(await query(sql.value)).flatMap(result));
    await list();
  }, run);

  form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
  sql.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); ask(); }
  });
  await list();
}
