// A worker's kept mail, newest first, and one message as it lies on the disk.
const PAGE = 100; // messages
const SHOWN_BYTES = 256 * 1024; // of a message

export default async function show(root, binding, kit) {
  const { element } = kit;
  const base = `email/kept/${encodeURIComponent(binding.facts.worker)}`;
  const again = element("button", { type: "button", textContent: "Look again" });
  const more = element("button", { type: "button", textContent: "More messages", hidden: true });
  const told = element("p", { className: "row soft", role: "status" });
  const messages = kit.table("Messages", ["Subject", "From", "To", "What", "When"]);
  const problem = kit.problems();
  const one = element("div");
  messages.node.classList.add("tall");
  root.append(element("div", { className: "row" }, again), problem.node,
    element("div", { className: "halves" }, element("div", {}, messages.node, told, element("p", { className: "row" }, more)), one));

  let number = 0;
  let count = 0;

  async function page(first) {
    number = first ? 1 : number + 1;
    const { result, result_info: info } = await found(number);
    if (first) { messages.body.replaceChildren(); count = 0; }
    messages.add(...result.map((message) =>
      [opener(message), message.sender, message.recipient, message.kind, new Date(message.at).toLocaleString()]));
    count += result.length;
    more.hidden = count >= info.total_count;
    told.textContent = count ? `${count} of ${info.total_count}` : "No message is kept yet.";
  }

  async function found(at) { // before the first message there is no mailbox
    try {
      return await kit.api(`${base}?page=${at}&per_page=${PAGE}`);
    } catch (error) {
      if (!String(error.message).startsWith("no mail is kept")) throw error;
      return { result: [], result_info: { total_count: 0 } };
    }
  }

  function opener(message) {
    const button = element("button", { type: "button", className: "link", textContent: message.subject || "(no subject)" });
    button.addEventListener("click", () => problem.run(async () => {
      for (const row of messages.body.rows) row.removeAttribute("aria-current");
      button.closest("tr").setAttribute("aria-current", "true");
      const { bytes, whole } = await kit.some(await kit.raw(`${base}/${message.name}`), SHOWN_BYTES);
      const note = whole ? null : element("p", { className: "soft", textContent: "Its first 256 KB." });
      one.replaceChildren(element("h3", { textContent: message.name }), ...(note ? [note] : []),
        element("pre", { textContent: new TextDecoder().decode(bytes) }));
    }));
    return button;
  }

  again.addEventListener("click", () => problem.run(() => page(true)));
  more.addEventListener("click", () => problem.run(() => page(false)));
  await problem.run(() => page(true));
}
