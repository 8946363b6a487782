// miniflare as a library, with two workers, an object and a queue: node calls.mjs MODULES PORT FOLDER
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const [modules, port, folder] = process.argv.slice(2);
const { Miniflare } = createRequire(modules + "/")("miniflare");
const worker = (name, more) => ({
  name,
  modules: true,
  script: readFileSync(new URL(name + ".js", import.meta.url), "utf8"),
  compatibilityDate: "2026-01-01",
  ...more,
});
const server = new Miniflare({
  host: "127.0.0.1",
  port: Number(port),
  durableObjectsPersist: folder + "/do",
  workers: [
    worker("calls", {
      serviceBindings: { OTHER: "called" },
      durableObjects: {
        COUNTER: { className: "Counter", useSQLite: true },
        ROOM: { className: "Room", useSQLite: true },
      },
      queueProducers: { QUEUE: { queueName: "bench" } },
      queueConsumers: { bench: { maxBatchSize: 100, maxBatchTimeout: 1 } },
    }),
    worker("called", {}),
  ],
});
await server.ready;
process.on("SIGTERM", () => server.dispose().then(() => process.exit(0)));
