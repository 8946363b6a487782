// The queues there are, and one of them: what waits in it, and what can be done to it.
const SHOWN = 50; // messages
const EVERY_MS = 2000; // between two looks at the one that is open
const TYPES = ["json", "text"];

export default async function show(root, binding, kit) {
  const { element, field } = kit;
  const at = (name, more = "") => `queues/${encodeURIComponent(name)}${more}`;
  const again = element("button", { type: "button", textContent: "Look again" });
  const list = kit.table("Queues", ["Queue", "Waiting", "Delayed", "In flight", "Delivery", "Dead letters to"]);
  for (const head of [...list.node.querySelectorAll("th")].slice(1, 4)) head.className = "number";
  const problem = kit.problems();
  const one = element("div");
  root.append(problem.node, element("div", { className: "row" }, again),
    list.node, one);
  let timer;
  let opened = binding.facts.queue;

  async function lookAtAll() {
    const { result } = await kit.api("queues?per_page=100");
    const metrics = await Promise.all(result.map((queue) => kit.api(at(queue.queue_name, "/metrics"))));
    list.body.replaceChildren(...result.map((queue, index) => row(queue, metrics[index].result)));
    if (!result.length) list.add(["There are none."]);
    mark();
  }

  function row(queue, { backlog_count: waiting, delayed, in_flight: inFlight }) {
    const dead = queue.consumers.map((consumer) => consumer.dead_letter_queue).find(Boolean);
    return kit.row([opener(queue.queue_name), waiting - delayed, delayed, inFlight,
      queue.settings.delivery_paused ? "paused" : queue.consumers.length ? "goes on" : "no consumer", dead ? opener(dead) : ""]);
  }

  function opener(name) {
    const button = element("button", { type: "button", className: "link mono", textContent: name });
    button.addEventListener("click", () => problem.run(() => open(name, true)));
    return button;
  }

  function mark() {
    for (const row of list.body.rows) {
      if (row.cells[0].textContent === opened) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }

  async function open(name, focus) {
    clearTimeout(timer);
    opened = name;
    mark();
    const card = drawn(name);
    one.replaceChildren(card.node);
    if (focus) card.node.focus();
    await follow(card, name);
  }

  async function follow(card, name) {
    await card.look();
    timer = setTimeout(() => card.node.isConnected && problem.run(() => follow(card, name)), EVERY_MS);
  }

  function drawn(name) {
    const facts = element("div");
    const wrong = kit.problems();
    const pause = element("button", { type: "button", textContent: "Pause" });
    const purge = element("button", { type: "button", className: "bad", textContent: "Remove all messages" });
    const messages = kit.table(`Messages of ${name}`, ["Sent", "Due", "Attempts", "Type", "Body"]);
    messages.node.classList.add("tall");
    const told = element("p", { className: "row soft", role: "status" });
    const node = element("section", { className: "card", tabIndex: -1, "aria-label": `Queue ${name}` },
      element("h3", { textContent: name }), facts, element("p", { className: "row" }, pause, purge), wrong.node, sender(name, wrong, () => look()),
      element("h3", { textContent: "Messages, oldest first" }), messages.node, told);
    let paused = false;

    async function look() {
      const [{ result: queue }, { result: counts }, { result: found }] = await Promise.all(
        [kit.api(at(name)), kit.api(at(name, "/metrics")), kit.api(at(name, `/messages?limit=${SHOWN}`))]);
      paused = queue.settings.delivery_paused;
      pause.textContent = paused ? "Resume" : "Pause";
      const consumers = queue.consumers.map((one) => `${one.script} (batches of ${one.settings.batch_size}, ${one.settings.max_retries} retries)`);
      facts.replaceChildren(kit.facts([["Waiting", counts.backlog_count - counts.delayed], ["Delayed", counts.delayed],
        ["In flight", counts.in_flight], ["Bytes", counts.backlog_bytes], ["Delivery", paused ? "paused" : "goes on"],
        ["Consumer", consumers.join(", ") || "none"],
        ["Dead letters to", queue.consumers.map((one) => one.dead_letter_queue ?? "nowhere: they are dropped").join(", ")],
        ["Producers", queue.producers.map((one) => one.script).join(", ") || "none"]]));
      messages.body.replaceChildren(...found.map((message) => kit.row([kit.time(message.timestamp_ms), due(message), message.attempts,
        message.metadata["CF-Content-Type"], message.body])));
      told.textContent = found.length < SHOWN ? `${found.length} ${found.length === 1 ? "message" : "messages"}` : `The first ${SHOWN}`;
    }

    pause.addEventListener("click", () => wrong.run(async () => {
      await kit.api(at(name), { method: "PATCH", json: { settings: { delivery_paused: !paused } } });
      await Promise.all([look(), lookAtAll()]);
    }, pause));
    purge.addEventListener("click", () => {
      if (!confirm(`Remove every message of ${name}?`)) return;
      wrong.run(async () => {
        await kit.api(at(name, "/purge"), { json: { delete_messages_permanently: true } });
        await Promise.all([look(), lookAtAll()]);
      }, purge);
    });
    return { node, look };
  }

  function sender(name, wrong, look) {
    const body = element("input", { className: "grow mono", required: true, autocomplete: "off", spellcheck: false, placeholder: '{"order": 1}' });
    const type = element("select", {}, ...TYPES.map((value) => element("option", { value, textContent: value })));
    const delay = element("input", { type: "number", min: 0, max: 86400, placeholder: "0" });
    const send = element("button", { className: "main", textContent: "Send" });
    const form = element("form", { className: "row" }, ...field("Message", body), ...field("Type", type),
      ...field("Delay in seconds", delay), send);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      wrong.run(async () => {
        const json = { body: type.value === "json" ? JSON.parse(body.value) : body.value, content_type: type.value };
        await kit.api(at(name, "/messages"), { json: delay.value ? { ...json, delay_seconds: Number(delay.value) } : json });
        body.value = "";
        await Promise.all([look(), lookAtAll()]);
      }, send);
    });
    return form;
  }

  again.addEventListener("click", () => problem.run(lookAtAll, again));
  await lookAtAll();
  if (opened) await problem.run(() => open(opened, false));
  return () => clearTimeout(timer);
}

function due(message) {
  return message.due_ms > Date.now() ? `in ${Math.ceil((message.due_ms - Date.now()) / 1000)} s` : "now";
}
