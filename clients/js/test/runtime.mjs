// The client in any runtime: HUB is a hub's address, each transport is cut once. Uses nothing but
// what the web has.
import { EventCast } from "../src/index.js";

const HUB = globalThis.process?.env.HUB ?? globalThis.Deno.env.get("HUB");
const check = (fine, what) => { if (!fine) throw new Error(what); };

for (const transport of ["websocket", "sse", "stream", "poll"]) {
  if (transport === "websocket" && !globalThis.WebSocket) continue;
  const channel = `${crypto.randomUUID()}/${transport}`;
  const publisher = new EventCast(HUB);
  const events = new EventCast(HUB, { channels: channel, transports: transport, start: "earliest", retry: 10, minRetry: 10 });
  await publisher.publish(channel, "one");
  const seen = [];
  let cut = false;
  for await (const delivery of events) {
    check(delivery.kind === "event", JSON.stringify(delivery));
    seen.push(delivery.data);
    if (seen.length === 1) {
      const { channels } = await events.subscribe(`${channel}/more`);
      check(channels.length === 2, "it has not joined");
      await publisher.publish(`${channel}/more`, Uint8Array.of(0, 255));
    } else if (!cut) {
      cut = true;
      check(delivery.encoding === "binary" && delivery.data[1] === 255, `bytes have changed: ${JSON.stringify(delivery)}`);
      // To leave all channels and come back is a new connection.
      await events.unsubscribe(events.channels);
      await publisher.publish(channel, { n: 3 });
      await events.subscribe(channel, { start: "last:1" });
    } else {
      check(delivery.data.n === 3, "JSON has changed");
      break;
    }
  }
  check(seen.length === 3 && events.reason === "client", `${transport}: ${JSON.stringify(seen)}`);
  console.log(`${transport} works`);
}
console.log("the client works here");
