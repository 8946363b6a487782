// The worker under test of calls, as its JavaScript twin.
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";

const COUNTS = 50;
const QUEUED = 100;
const EMPTY = "x".repeat(100);
let handled = [];
const everybody = new Set();
const now = () => Date.now() / 1000;

export default class extends WorkerEntrypoint {
  async fetch(request) {
    const path = new URL(request.url).pathname;
    if (path === "/rpc") return new Response(String(await this.env.OTHER.add(1, 2)));
    if (path === "/service") return this.env.OTHER.fetch("http://other/");
    if (path === "/count") return new Response(String(await this.env.COUNTER.getByName("one").count()));
    if (path === "/counts") {
      const counter = this.env.COUNTER.getByName("one");
      await Promise.all(Array.from({ length: COUNTS }, () => counter.count()));
      return new Response("counted");
    }
    if (path === "/queue/send") {
      await this.env.QUEUE.send(now());
      return new Response("sent");
    }
    if (path === "/queue/batch") {
      await this.env.QUEUE.sendBatch(Array.from({ length: QUEUED }, () => ({ body: now() })));
      return new Response("sent");
    }
    if (path === "/queue/handled") return Response.json([handled.length, ...handled.slice(0, 100)]);
    if (path === "/queue/begin") {
      handled = [];
      return new Response("begun");
    }
    if (path === "/echo" || path === "/broadcast") return socket(path === "/broadcast");
    if (path === "/room") return this.env.ROOM.getByName("one").fetch(request);
    return new Response(EMPTY);
  }

  async queue(batch) {
    const at = now();
    for (const message of batch.messages) handled.push((at - message.body) * 1000);
  }
}

function socket(toAll) {
  const [client, server] = Object.values(new WebSocketPair());
  server.accept();
  if (toAll) {
    everybody.add(server);
    server.addEventListener("close", () => everybody.delete(server));
    server.addEventListener("message", (event) => everybody.forEach((one) => one.send(event.data)));
  } else server.addEventListener("message", (event) => server.send(event.data));
  return new Response(null, { status: 101, webSocket: client });
}

export class Counter extends DurableObject {
  async count() {
    const number = ((await this.ctx.storage.get("number")) ?? 0) + 1;
    await this.ctx.storage.put("number", number);
    return number;
  }
}

export class Room extends DurableObject {
  async fetch() {
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  async webSocketMessage(socket, message) {
    socket.send(message);
  }
}
