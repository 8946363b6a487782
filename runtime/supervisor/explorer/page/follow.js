// A feed of the server's, followed until left: events by number, from where one was; a server begun anew counts anew.
const AGAIN_MS = 1000;

// ``begin()``: all is new; ``add(events)``: the next few; ``tell(trouble)``: how it goes, "" for well. Gives what ends it.
export function follow(kit, path, { begin, add, tell }) {
  const end = new AbortController();
  let feed = "";
  let seen = 0;
  const go = async () => {
    while (!end.signal.aborted) {
      try {
        const response = await kit.ask(path, { signal: end.signal, headers: { "last-event-id": `${feed}-${seen}` } });
        if (response.headers.get("x-feed") !== feed) {
          feed = response.headers.get("x-feed");
          seen = 0;
          begin();
        }
        tell();
        for await (const events of kit.events(response)) {
          add(events, seen ? events[0].number - seen - 1 : 0);
          seen = events.at(-1).number;
        }
      } catch (error) {
        if (end.signal.aborted) return;
        if (error instanceof kit.Refused) return tell(error.message);
      }
      tell("The server does not answer; trying again");
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  };
  go();
  return () => end.abort();
}
