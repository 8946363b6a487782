// The worker under test, as its JavaScript twin.
export default {
  async fetch(request, env) {
    const path = new URL(request.url).pathname;
    if (path === "/proxy") {
      const answer = await fetch(env.TARGET);
      return new Response(answer.body, { headers: { "content-type": "text/event-stream" } });
    }
    return new Response("Hello from JavaScript!\n");
  },
};
