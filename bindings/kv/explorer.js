// One namespace: its keys by prefix, a page at a time, and one of them to read, change or remove.
const PAGE = 100; // keys
const SHOWN_BYTES = 256 * 1024; // of a value; a longer one is not edited here
const PAUSE_MS = 200; // after a keystroke

export default async function show(root, binding, kit) {
  const { element, field } = kit;
  const base = `storage/kv/namespaces/${encodeURIComponent(binding.facts.id)}`;
  const at = (key) => `${base}/values/${encodeURIComponent(key)}`;
  const prefix = element("input", { type: "search", className: "grow mono", autocomplete: "off", spellcheck: false });
  const fresh = element("button", { type: "button", textContent: "New key" });
  const more = element("button", { type: "button", textContent: "More keys", hidden: true });
  const told = element("p", { className: "row soft", role: "status" });
  const keys = kit.table("Keys", ["Key", "Expires", "Metadata"]);
  const problem = kit.problems();
  const one = element("div");
  keys.node.classList.add("tall");
  root.append(element("div", { className: "row" }, ...field("Prefix", prefix), fresh), problem.node,
    element("div", { className: "halves" }, element("div", {}, keys.node, told, element("p", { className: "row" }, more)), one));

  let cursor = "";
  let asked = 0;
  let count = 0;

  async function page(first) {
    const mine = ++asked;
    const query = new URLSearchParams({ prefix: prefix.value, limit: PAGE, ...(first ? {} : { cursor }) });
    const { result, result_info: info } = await kit.api(`${base}/keys?${query}`);
    if (mine !== asked) return; // something else has been typed since
    if (first) { keys.body.replaceChildren(); count = 0; }
    keys.add(...result.map((key) => [opener(key), expiry(key.expiration), key.metadata === undefined ? "" : JSON.stringify(key.metadata)]));
    cursor = info.cursor;
    count += result.length;
    more.hidden = !cursor;
    told.textContent = count ? `${count} ${count === 1 ? "key" : "keys"}${cursor ? ", and more" : ""}` : "No key begins so.";
  }

  function opener(key) {
    const button = element("button", { type: "button", className: "link mono", textContent: key.name });
    button.addEventListener("click", () => problem.run(async () => {
      for (const row of keys.body.rows) row.removeAttribute("aria-current");
      button.closest("tr").setAttribute("aria-current", "true");
      await open(key);
    }));
    return button;
  }

  async function open(key) {
    const { bytes, whole } = await kit.some(await kit.raw(at(key.name)), SHOWN_BYTES);
    const text = kit.textOf(bytes);
    const editable = whole && text !== null;
    const note = !whole ? "Its first 256 KB; a value of this length is not edited here." : text === null ? "Not text: its bytes." : "";
    draw(key, editable, text ?? kit.hex(bytes), note);
  }

  function draw(key, editable, text, note = "") {
    const name = element("input", { className: "mono", value: key?.name ?? "", readOnly: Boolean(key), required: true, spellcheck: false });
    const value = element("textarea", { className: "mono", rows: 12, value: text, readOnly: !editable, spellcheck: false });
    const metadata = element("textarea", { className: "mono", rows: 2, spellcheck: false, readOnly: !editable,
      value: key?.metadata === undefined ? "" : JSON.stringify(key.metadata) });
    const ttl = element("input", { type: "number", min: 60, placeholder: key?.expiration ? "as it is" : "never" });
    const save = element("button", { className: "main", textContent: "Save", hidden: !editable });
    const drop = element("button", { type: "button", className: "bad", textContent: "Delete", hidden: !key });
    const done = element("span", { className: "soft", role: "status" });
    const wrong = kit.problems();
    const form = element("form", { className: "card", "aria-label": key ? `Key ${key.name}` : "New key" },
      element("h3", { textContent: key ? key.name : "New key" }), ...(key ? [] : field("Key", name)),
      ...field("Value", value), note ? element("p", { className: "soft", textContent: note }) : null,
      ...field("Metadata (JSON)", metadata), ...field("Expires in seconds", ttl),
      element("p", { className: "row" }, save, drop, done), wrong.node);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      wrong.run(async () => {
        await put(key, name.value, value.value, metadata.value, ttl.value);
        await page(true);
        if (key) done.textContent = "Saved.";
        else await open((await kit.api(`${base}/keys?${new URLSearchParams({ prefix: name.value, limit: 10 })}`)).result[0]);
      }, save);
    });
    drop.addEventListener("click", () => {
      if (!confirm(`Delete the key ${key.name}?`)) return;
      wrong.run(async () => {
        await kit.raw(at(key.name), { method: "DELETE" });
        one.replaceChildren();
        await page(true);
        prefix.focus();
      }, drop);
    });
    one.replaceChildren(form);
    (key ? value : name).focus();
  }

  async function put(key, name, value, metadata, ttl) {
    const form = new FormData();
    form.set("value", new Blob([value]));
    if (metadata.trim()) form.set("metadata", JSON.stringify(JSON.parse(metadata)));
    const expires = ttl ? { expiration_ttl: ttl } : key?.expiration ? { expiration: key.expiration } : {};
    await kit.raw(`${at(name)}?${new URLSearchParams(expires)}`, { method: "PUT", body: form });
    if (key) key.metadata = metadata.trim() ? JSON.parse(metadata) : undefined;
  }

  let timer;
  prefix.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => problem.run(() => page(true)), PAUSE_MS);
  });
  more.addEventListener("click", () => problem.run(() => page(false), more));
  fresh.addEventListener("click", () => draw(null, true, ""));
  await page(true);
}

const expiry = (seconds) => (seconds === undefined ? "" : new Date(seconds * 1000).toLocaleString());
