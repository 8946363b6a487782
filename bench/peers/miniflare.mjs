// miniflare as a library: node miniflare.mjs MODULES PORT TARGET
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const [modules, port, target] = process.argv.slice(2);
const { Miniflare } = createRequire(modules + "/")("miniflare");
const server = new Miniflare({
  modules: true,
  script: readFileSync(new URL("worker.js", import.meta.url), "utf8"),
  compatibilityDate: "2026-01-01",
  bindings: { TARGET: target ?? "" },
  host: "127.0.0.1",
  port: Number(port),
});
await server.ready;
process.on("SIGTERM", () => server.dispose().then(() => process.exit(0)));
