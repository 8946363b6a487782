// One workflow: its instances, newest first, and one of them as its steps, with what can be done to it.
const PAGE = 25; // instances
const STATUSES = ["", "queued", "running", "paused", "waitingForPause", "complete", "errored", "terminated"];
const ENDED = ["complete", "errored", "terminated"];
const EVERY_MS = 1000; // between two looks at an instance that goes on

export default async function show(root, binding, kit) {
  const { element, field } = kit;
  const base = `workflows/${encodeURIComponent(binding.facts.name)}`;
  const at = (id) => `${base}/instances/${encodeURIComponent(id)}`;
  const status = element("select", {}, ...STATUSES.map((name) => element("option", { value: name, textContent: name || "any" })));
  const params = element("input", { className: "grow mono", autocomplete: "off", spellcheck: false, placeholder: '{"order": 1}' });
  const begin = element("button", { className: "main", textContent: "Begin an instance" });
  const form = element("form", { className: "row" }, ...field("Parameters", params), begin);
  const again = element("button", { type: "button", textContent: "Look again" });
  const more = element("button", { type: "button", textContent: "More instances", hidden: true });
  const told = element("p", { className: "row soft", role: "status" });
  const list = kit.table("Instances", ["Instance", "Created", "Status"]);
  const problem = kit.problems();
  const one = element("div");
  list.node.classList.add("tall");
  root.append(form, element("div", { className: "row" }, ...field("Status", status), again), problem.node,
    element("div", { className: "halves" }, element("div", {}, list.node, told, element("p", { className: "row" }, more)), one));

  let cursor = "";
  let asked = 0;
  let timer;

  async function page(first) {
    const mine = ++asked;
    const query = new URLSearchParams({ per_page: PAGE, status: status.value, ...(first ? {} : { cursor }) });
    const { result, result_info: info } = await kit.api(`${base}/instances?${query}`);
    if (mine !== asked) return; // something else has been asked for since
    if (first) list.body.replaceChildren();
    list.add(...result.map((instance) => [opener(instance.id), new Date(instance.created_on).toLocaleString(), instance.status]));
    cursor = info.cursor;
    more.hidden = !cursor;
    told.textContent = info.total_count ? `${list.body.rows.length} of ${info.total_count}` : "There are none.";
  }

  function opener(id) {
    const button = element("button", { type: "button", className: "link mono", textContent: id });
    button.addEventListener("click", () => problem.run(async () => {
      mark(id);
      await open(id, true);
    }));
    return button;
  }

  function mark(id, text) {
    for (const row of list.body.rows) {
      if (row.cells[0].textContent !== id) row.removeAttribute("aria-current");
      else if (text) row.cells[2].textContent = text;
      else row.setAttribute("aria-current", "true");
    }
  }

  function action(id, name, label, wrong) {
    const button = element("button", { type: "button", textContent: label, className: name === "terminate" ? "bad" : "" });
    button.addEventListener("click", () => {
      if (name === "terminate" && !confirm(`End the instance ${id}?`)) return;
      wrong.run(async () => {
        await kit.api(`${at(id)}/status`, { method: "PATCH", json: { status: name } });
        await open(id, true);
      }, button);
    });
    return button;
  }

  async function open(id, focus) {
    clearTimeout(timer);
    const { result: found } = await kit.api(at(id));
    const wrong = kit.problems();
    const ended = ENDED.includes(found.status);
    const actions = ended ? [["restart", "Begin anew"]]
      : [found.status === "paused" ? ["resume", "Resume"] : ["pause", "Pause"], ["restart", "Begin anew"], ["terminate", "End it"]];
    const steps = kit.table(`Steps of ${id}`, ["Step", "Type", "State", "Attempts", "Took", "Result"], found.steps.filter((step) => step.name).map(cells));
    const shown = element("section", { className: "card", tabIndex: -1, "aria-label": `Instance ${id}` }, element("h3", { textContent: id }),
      kit.facts([["Status", found.status], ["Parameters", JSON.stringify(found.params)], ["Begun by", found.trigger.source],
        ["Created", new Date(found.queued).toLocaleString()], ["Took", took(found.start, found.end)],
        ["Output", ended && found.output !== null ? JSON.stringify(found.output) : ""]]),
      found.error ? element("pre", { className: "bad", textContent: found.error.message }) : null,
      element("p", { className: "row" }, ...actions.map(([name, label]) => action(id, name, label, wrong))), wrong.node,
      element("h3", { textContent: "Steps" }), steps.node);
    const had = one.contains(document.activeElement) ? document.activeElement.textContent : null;
    one.replaceChildren(shown);
    mark(id, found.status);
    if (focus) shown.focus();
    else if (had !== null) ([...shown.querySelectorAll("button")].find((button) => button.textContent === had) ?? shown).focus();
    if (!ended) timer = setTimeout(() => shown.isConnected && problem.run(() => open(id, false)), EVERY_MS);
  }

  function cells(step) {
    const state = step.type === "step" ? { true: "done", false: "failed" }[step.success] ?? (step.due ? `again ${clock(step.due)}` : "runs")
      : step.error ? "failed" : step.finished ? "done" : `until ${clock(step.due)}`;
    const said = step.error ?? step.attempts?.findLast((attempt) => attempt.error)?.error;
    const result = step.output ?? (said && step.success !== true ? `${said.name}: ${said.message.trim().split("\n").pop()}` : "");
    return [step.name, step.event ? `event ${step.event}` : step.type, state, step.attempts ? String(step.attempts.length) : "",
      took(step.start, step.end), result];
  }

  const clock = (moment) => new Date(moment).toLocaleString();

  function took(start, end) {
    if (!start || !end) return "";
    const ms = new Date(end) - new Date(start);
    return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    problem.run(async () => {
      const text = params.value.trim();
      const { result } = await kit.api(`${base}/instances`, { json: text ? { params: JSON.parse(text) } : {} });
      await page(true);
      mark(result.id);
      await open(result.id, true);
    }, begin);
  });
  status.addEventListener("change", () => problem.run(() => page(true)));
  again.addEventListener("click", () => problem.run(() => page(true), again));
  more.addEventListener("click", () => problem.run(() => page(false), more));
  await page(true);
  return () => clearTimeout(timer);
}
