// A chat with one of the text models.
const LIKED = "@cf/meta/llama-3.1-8b-instruct";

export default async function show(root, binding, kit) {
  const { element, field } = kit;
  const model = element("select", {});
  const system = element("input", { className: "grow", autocomplete: "off", placeholder: "none" });
  const question = element("textarea", { rows: 3, placeholder: "What would you like to know?" });
  const send = element("button", { className: "main", textContent: "Send" });
  const stop = element("button", { type: "button", textContent: "Stop", hidden: true });
  const again = element("button", { type: "button", textContent: "New chat" });
  const told = element("span", { className: "soft", role: "status" });
  const talk = element("div", { role: "log", "aria-label": "Conversation", "aria-live": "polite" });
  const problem = kit.problems();
  const form = element("form", {}, element("div", { className: "row" }), ...field("Question", question),
    element("p", { className: "row" }, send, stop, again, told));
  root.append(element("div", { className: "row" }, ...field("Model", model), ...field("System prompt", system)), talk, problem.node, form);

  let messages = [];
  let end = null;

  async function models() {
    const { result } = await kit.api(`ai/models/search?${new URLSearchParams({ task: "Text Generation", per_page: 200 })}`);
    const names = result.map((one) => one.name).sort();
    model.replaceChildren(...names.map((name) => element("option", { value: name, textContent: name })));
    if (names.includes(LIKED)) model.value = LIKED;
  }

  function turn(role, text) {
    const node = element("div", { className: `turn ${role}` }, element("span", { className: "hide", textContent: `${role}: ` }), text);
    talk.append(node);
    return node;
  }

  async function answer(text) {
    messages.push({ role: "user", content: text });
    turn("user", text);
    question.value = "";
    const node = turn("assistant", "");
    const begun = performance.now();
    let first = 0;
    let said = "";
    let usage = null;
    end = new AbortController();
    stop.hidden = false;
    try {
      const asked = system.value.trim() ? [{ role: "system", content: system.value.trim() }, ...messages] : messages;
      const response = await kit.raw(`ai/run/${model.value}`, {
        method: "POST", signal: end.signal, headers: { "content-type": "application/json" },
        body: JSON.stringify({ messages: asked, stream: true }),
      });
      for await (const event of kit.events(response)) {
        if (event.error || event.errors?.length) throw new Error(event.error?.message ?? event.errors?.[0]?.message ?? String(event.error));
        const piece = event.response ?? event.choices?.[0]?.delta?.content ?? "";
        first ||= performance.now();
        usage = event.usage ?? usage;
        said += piece;
        node.append(String(piece));
      }
      const tokens = usage?.completion_tokens ? `, ${usage.completion_tokens} tokens` : "";
      told.textContent = `first token ${Math.round(first - begun)} ms, ${((performance.now() - begun) / 1000).toFixed(1)} s${tokens}`;
    } catch (error) {
      if (error.name !== "AbortError") throw error;
      told.textContent = "stopped";
    } finally {
      stop.hidden = true;
      if (said) messages.push({ role: "assistant", content: said });
      else messages.pop();
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = question.value.trim();
    if (text && !send.disabled) problem.run(() => answer(text), send).then(() => question.focus());
  });
  question.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
  });
  stop.addEventListener("click", () => end?.abort());
  again.addEventListener("click", () => {
    end?.abort();
    messages = [];
    talk.replaceChildren();
    told.textContent = "";
    question.focus();
  });
  await models();
  return () => end?.abort();
}
