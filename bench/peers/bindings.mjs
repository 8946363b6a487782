// miniflare as a library, keeping things on disk: node bindings.mjs MODULES PORT FOLDER
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const [modules, port, folder] = process.argv.slice(2);
const { Miniflare } = createRequire(modules + "/")("miniflare");
const server = new Miniflare({
  modules: true,
  script: readFileSync(new URL("bindings.js", import.meta.url), "utf8"),
  compatibilityDate: "2026-01-01",
  kvNamespaces: ["KV"],
  kvPersist: folder + "/kv",
  d1Databases: ["DB"],
  d1Persist: folder + "/d1",
  r2Buckets: ["R2"],
  r2Persist: folder + "/r2",
  host: "127.0.0.1",
  port: Number(port),
});
await server.ready;
process.on("SIGTERM", () => server.dispose().then(() => process.exit(0)));
