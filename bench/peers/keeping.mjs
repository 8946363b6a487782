// miniflare as a library, with a bucket on disk: node keeping.mjs MODULES PORT FOLDER
import { createRequire } from "node:module";

const [modules, port, folder] = process.argv.slice(2);
const { Miniflare } = createRequire(modules + "/")("miniflare");
const script = `
export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/r2/upload") await env.R2.put("upload", request.body);
    return new Response("x".repeat(1024));
  },
};`;
const server = new Miniflare({
  modules: true,
  script,
  compatibilityDate: "2026-01-01",
  r2Buckets: ["R2"],
  r2Persist: folder + "/r2",
  host: "127.0.0.1",
  port: Number(port),
});
await server.ready;
process.on("SIGTERM", () => server.dispose().then(() => process.exit(0)));
