// The other worker of calls.js.
import { WorkerEntrypoint } from "cloudflare:workers";

export default class extends WorkerEntrypoint {
  async fetch() {
    return new Response("x".repeat(100));
  }

  async add(a, b) {
    return a + b;
  }
}
