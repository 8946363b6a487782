// Which view is shown, by the address's hash; a binding's view comes from its product.
import * as kit from "./kit.js";
import figures from "./figures.js";
import requests from "./requests.js";
import traces from "./traces.js";

const { element } = kit;
const $ = (id) => document.getElementById(id);
let state = { workers: [], pages: [], status: {} };
let leave = () => {};
let turn = 0;

const FIXED = [
  { hash: "requests", title: "Requests", show: requests },
  { hash: "traces", title: "Traces", show: traces },
  { hash: "figures", title: "Models and figures", show: figures },
];

function places() {
  const bindings = state.workers.flatMap((worker) => worker.bindings.map((binding) => ({
    hash: `${worker.name}/${binding.name}`, title: `env.${binding.name}`, more: binding.what, worker: worker.name,
    show: (root) => look(root, binding, worker.name),
  })));
  const pages = state.pages.map(({ key, title }) => ({ hash: `pages/${key}`, title, show: (root) => all(root, key, title) }));
  return [...FIXED, ...pages, ...bindings];
}

// All that a product keeps, whoever is bound to it.
async function all(root, key, title) {
  root.append(element("h2", { textContent: title }));
  return (await viewOf(key)).default(root, { facts: {} }, kit);
}

const viewOf = (key) => import(`../views/${encodeURIComponent(key)}.js`);

async function look(root, binding, worker) {
  root.append(element("h2", { textContent: `env.${binding.name}` }),
    element("p", { className: "soft", textContent: [binding.what, binding.where].filter(Boolean).join(", ") }));
  if (!binding.view) return root.append(element("p", { className: "row soft", textContent: "There is nothing more to see of it here." }));
  return (await viewOf(binding.view)).default(root, { ...binding, worker }, kit);
}

function link(place, current) {
  const more = place.more ? element("small", { textContent: place.more }) : null;
  const properties = { href: `#${encodeURI(place.hash)}`, "aria-current": place.hash === current ? "page" : null };
  return element("li", {}, element("a", properties, place.title, more));
}

function navigation(current) {
  const groups = new Map([["", []]]);
  for (const place of places()) groups.set(place.worker ?? "", [...(groups.get(place.worker ?? "") ?? []), place]);
  $("nav").replaceChildren(...[...groups].flatMap(([name, found]) => [
    name ? element("h2", { textContent: name }) : null,
    element("ul", {}, ...found.map((place) => link(place, current))),
  ]).filter(Boolean));
}

function complain(error) {
  const refused = error instanceof kit.Refused;
  $("problem").textContent = refused ? "" : error?.message ?? "";
  $("problem").hidden = !error || refused;
  $("key").hidden = !refused;
  if (refused) $("token").focus();
}

async function show(focus) {
  const mine = ++turn;
  const wanted = decodeURI(location.hash.slice(1));
  leave();
  leave = () => {};
  const fresh = await (await kit.ask("state")).json(); // a save may have brought other bindings
  if (mine !== turn) return;
  state = fresh;
  const all = places();
  const place = all.find((one) => one.hash === wanted) ?? all[0];
  const root = element("div");
  navigation(place.hash);
  $("view").replaceChildren(root);
  document.title = `${place.title} · Pilotlight`;
  if (focus) $("content").focus();
  complain(null);
  try {
    const left = await place.show(root, state, kit);
    if (mine === turn) leave = left ?? (() => {});
    else left?.();
  } catch (error) {
    if (mine === turn) complain(error);
  }
}

async function start(focus) {
  try {
    await show(focus);
    $("version").textContent = state.version;
  } catch (error) {
    complain(error);
  }
}

$("key").addEventListener("submit", (event) => {
  event.preventDefault();
  kit.useToken($("token").value.trim());
  $("token").value = "";
  start(true);
});
addEventListener("hashchange", () => {
  if (location.hash === "#content") return $("content").focus();
  start(true);
});
start(false);
