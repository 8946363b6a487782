// One bucket: its objects by folder, a page at a time, and one of them to look at, fetch or remove.
const PAGE = 100; // objects
const SHOWN_BYTES = 256 * 1024; // of an object that is no picture
const PICTURE_BYTES = 10 * 1024 * 1024;
const PICTURES = /^image\/(png|jpeg|gif|webp|avif|svg\+xml)$/;

export default async function show(root, binding, kit) {
  const { element, field } = kit;
  const base = `r2/buckets/${encodeURIComponent(binding.facts.bucket)}/objects`;
  const at = (key) => `${base}/${encodeURIComponent(key)}`;
  const prefix = element("input", { type: "search", className: "grow mono", autocomplete: "off", spellcheck: false });
  const file = element("input", { type: "file" });
  const up = element("button", { type: "button", textContent: "Up", hidden: true });
  const more = element("button", { type: "button", textContent: "More objects", hidden: true });
  const told = element("p", { className: "row soft", role: "status" });
  const objects = kit.table("Objects", ["Key", "Size", "Modified"]);
  const problem = kit.problems();
  const one = element("div");
  objects.node.classList.add("tall");
  root.append(element("div", { className: "row" }, ...field("Prefix", prefix), up, ...field("Put a file here", file)), problem.node,
    element("div", { className: "halves" }, element("div", {}, objects.node, told, element("p", { className: "row" }, more)), one));

  let cursor = "";
  let asked = 0;
  let count = 0;
  let picture = "";

  async function page(first) {
    const mine = ++asked;
    const query = new URLSearchParams({ prefix: prefix.value, delimiter: "/", per_page: PAGE, ...(first ? {} : { cursor }) });
    const { result, result_info: info } = await kit.api(`${base}?${query}`);
    if (mine !== asked) return; // something else has been typed since
    if (first) { objects.body.replaceChildren(); count = 0; }
    const folders = (info.delimited ?? []).map((name) => [button(name, () => enter(name)), "", ""]);
    objects.add(...folders, ...result.map((object) =>
      [button(object.key, () => open(object)), object.size, new Date(object.last_modified).toLocaleString()]));
    cursor = info.cursor ?? "";
    count += result.length + folders.length;
    more.hidden = !cursor;
    up.hidden = !prefix.value.includes("/");
    told.textContent = count ? `${count} here${cursor ? ", and more" : ""}` : "No object begins so.";
  }

  function button(text, work) {
    const node = element("button", { type: "button", className: "link mono", textContent: text });
    node.addEventListener("click", () => problem.run(async () => {
      for (const row of objects.body.rows) row.removeAttribute("aria-current");
      node.closest("tr").setAttribute("aria-current", "true");
      await work();
    }));
    return node;
  }

  async function enter(folder) {
    prefix.value = folder;
    await page(true);
    prefix.focus();
  }

  function forget() {
    if (picture) URL.revokeObjectURL(picture);
    picture = "";
  }

  async function preview(object) {
    const type = object.http_metadata?.contentType ?? "";
    forget();
    if (PICTURES.test(type) && object.size <= PICTURE_BYTES) {
      picture = URL.createObjectURL(new Blob([await (await kit.raw(at(object.key))).blob()], { type }));
      return element("img", { className: "preview", src: picture, alt: object.key });
    }
    const { bytes, whole } = await kit.some(await kit.raw(at(object.key)), SHOWN_BYTES);
    const text = kit.textOf(whole ? bytes : bytes.slice(0, bytes.findLastIndex((byte) => byte < 0x80) + 1));
    const note = whole ? null : element("p", { className: "soft", textContent: "Its first 256 KB." });
    return element("div", {}, note, element("pre", { textContent: text ?? kit.hex(bytes) }));
  }

  async function open(object) {
    const shown = await preview(object);
    const save = element("button", { type: "button", textContent: "Download" });
    const drop = element("button", { type: "button", className: "bad", textContent: "Delete" });
    const wrong = kit.problems();
    const custom = Object.keys(object.custom_metadata ?? {}).length ? JSON.stringify(object.custom_metadata) : "";
    save.addEventListener("click", () => wrong.run(() => download(object.key), save));
    drop.addEventListener("click", () => {
      if (!confirm(`Delete the object ${object.key}?`)) return;
      wrong.run(async () => {
        await kit.raw(at(object.key), { method: "DELETE" });
        forget();
        one.replaceChildren();
        await page(true);
        prefix.focus();
      }, drop);
    });
    const card = element("section", { className: "card", tabIndex: -1, "aria-label": `Object ${object.key}` }, element("h3", { textContent: object.key }),
      kit.facts([["Type", object.http_metadata?.contentType], ["Size", `${object.size} bytes`], ["ETag", object.etag], ["Metadata", custom]]),
      element("p", { className: "row" }, save, drop), wrong.node, element("h3", { textContent: "Content" }), shown);
    one.replaceChildren(card);
    card.focus();
  }

  async function download(key) {
    const url = URL.createObjectURL(await (await kit.raw(at(key))).blob());
    element("a", { href: url, download: key.split("/").pop() }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  file.addEventListener("change", () => problem.run(async () => {
    const [chosen] = file.files;
    if (!chosen) return;
    const headers = { "content-type": chosen.type || "application/octet-stream" };
    await kit.raw(at(prefix.value.replace(/[^/]*$/, "") + chosen.name), { method: "PUT", body: chosen, headers });
    file.value = "";
    await page(true);
  }, file));

  let timer;
  prefix.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => problem.run(() => page(true)), 200); // ms after a keystroke
  });
  up.addEventListener("click", () => problem.run(() => enter(prefix.value.replace(/[^/]*\/[^/]*$/, ""))));
  more.addEventListener("click", () => problem.run(() => page(false), more));
  await page(true);
  return forget;
}
