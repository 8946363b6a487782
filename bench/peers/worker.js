// The worker under test, as its JavaScript twin.
export default {
  async fetch(request, env) {
    const path = new URL(request.url).pathname;
    if (path === "/proxy") {
      const answer = await fetch(env.TARGET);
      return new Response(answer.body, { headers: { "content-type": "text/event-stream" } });
    }
    if (path === "/idle") {
      const start = (controller) => controller.enqueue(new TextEncoder().encode('data: {"response":" word"}\n\n'));
      const pull = () => new Promise((resolve) => setTimeout(resolve, 3600e3)); // with nothing to wait for it is "hung"
      return new Response(new ReadableStream({ start, pull }), { headers: { "content-type": "text/event-stream" } });
    }
    if (path === "/json") return Response.json(await request.json());
    if (path === "/upload") return fetch(new URL(request.url).searchParams.get("to"), { method: "PUT", body: request.body });
    return new Response("Hello from JavaScript!\n");
  },
};
