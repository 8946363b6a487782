// One class: its objects by id, a page at a time, as they are on the disk.
const PAGE = 100; // objects

export default async function show(root, binding, kit) {
  const { element } = kit;
  const base = `workers/durable_objects/namespaces/${encodeURIComponent(binding.facts.id)}/objects`;
  const again = element("button", { type: "button", textContent: "Look again" });
  const more = element("button", { type: "button", textContent: "More objects", hidden: true });
  const told = element("p", { className: "row soft", role: "status" });
  const list = kit.table("Objects", ["Name", "Id", "Bytes", "Alarm", "Last used"]);
  const problem = kit.problems();
  list.node.classList.add("tall");
  list.node.querySelectorAll("th")[2].className = "number";
  root.append(element("div", { className: "row" }, again), problem.node, list.node, told, element("p", { className: "row" }, more));

  let cursor = "";

  async function page(first) {
    const query = new URLSearchParams({ limit: PAGE, ...(first ? {} : { cursor }) });
    const { result, result_info: info } = await kit.api(`${base}?${query}`);
    if (first) list.body.replaceChildren();
    list.add(...result.map((one) => [one.name ?? "", id(one.id), one.size, moment(one.alarm), moment(one.lastUsed)]));
    cursor = info.cursor;
    more.hidden = !cursor;
    const count = list.body.rows.length;
    told.textContent = count ? `${count} ${count === 1 ? "object" : "objects"}${cursor ? ", and more" : ""}` : "None has kept anything.";
  }

  const id = (text) => element("span", { className: "mono", textContent: text });
  const moment = (text) => (text ? new Date(text).toLocaleString() : "");

  again.addEventListener("click", () => problem.run(() => page(true), again));
  more.addEventListener("click", () => problem.run(() => page(false), more));
  await page(true);
}
