// miniflare as a library, a folder of static assets in front of a worker: node assets.mjs MODULES PORT FOLDER
import { createRequire } from "node:module";

const [modules, port, folder] = process.argv.slice(2);
const { Miniflare } = createRequire(modules + "/")("miniflare");
const server = new Miniflare({
  modules: true,
  script: `export default { fetch: () => new Response("worker") }`,
  compatibilityDate: "2026-01-01",
  assets: { directory: folder + "/public", binding: "ASSETS", routerConfig: { has_user_worker: true } },
  host: "127.0.0.1",
  port: Number(port),
});
await server.ready;
process.on("SIGTERM", () => server.dispose().then(() => process.exit(0)));
