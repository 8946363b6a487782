// The worker under test of the bindings that keep things, as its JavaScript twin.
const KIB = "x".repeat(1024);
const PUTS = 50;
const key = () => "k" + Math.floor(Math.random() * 10_000);
export default {
  async fetch(request, env) {
    const path = new URL(request.url).pathname;
    if (path === "/kv/get") return new Response(await env.KV.get("read"));
    if (path === "/kv/put") {
      await env.KV.put(key(), KIB);
      return new Response("put");
    }
    if (path === "/kv/puts") {
      await Promise.all(Array.from({ length: PUTS }, () => env.KV.put(key(), KIB)));
      return new Response("put");
    }
    if (path === "/kv/begin") await env.KV.put("read", KIB);
    return new Response(KIB);
  },
};
