// The worker under test of the bindings that keep things, as its JavaScript twin.
const KIB = "x".repeat(1024);
const TEXT = "x".repeat(100);
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
    if (path === "/r2/upload") await env.R2.put("upload", request.body);
    if (path.startsWith("/d1/")) return d1(path, env.DB);
    return new Response(KIB);
  },
};

async function d1(path, db) {
  const below = (n) => Math.floor(Math.random() * n);
  if (path === "/d1/insert") {
    await db.prepare("INSERT INTO notes (text, number) VALUES (?, ?)").bind(TEXT, Math.random()).run();
    return new Response("inserted");
  }
  if (path === "/d1/select") {
    const row = await db.prepare("SELECT * FROM people WHERE id = ?").bind(1 + below(1000)).first();
    return new Response(row.name);
  }
  if (path === "/d1/hundred") {
    const found = await db.prepare("SELECT * FROM people WHERE id > ? LIMIT 100").bind(below(901)).all();
    return new Response(String(found.results.length));
  }
  await db.batch([
    db.prepare("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT, number REAL)"),
    db.prepare("CREATE TABLE IF NOT EXISTS people (id INTEGER PRIMARY KEY, name TEXT, score REAL, mail TEXT)"),
    db.prepare("INSERT OR IGNORE INTO people WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 1000)" +
      " SELECT n, 'Person ' || n, n * 1.5, 'person' || n || '@example.com' FROM r"),
  ]);
  return new Response("begun");
}
