// Compiled, never run: what the types promise.
import { EventCast, EventCastError, type Delivery } from "eventcast";
import { EventCast as Core } from "eventcast/core";
import { tabs } from "eventcast/tabs";

const client = new EventCast("/events", { channels: ["a"], transports: ["sse"], token: async () => "t" });
client.addEventListener("message", (event) => {
  if (event.encoding === "binary") event.data.byteLength satisfies number;
  if (event.encoding === "text") event.data satisfies string;
});
client.addEventListener("tick", ({ channel, id }) => [channel satisfies string, id satisfies string | undefined]);
client.addEventListener("gap", ({ reason, missed }) => [reason satisfies string, missed satisfies number | undefined]);
client.addEventListener("close", ({ reason, error }) => [reason === "completed", error instanceof EventCastError]);
for await (const delivery of client) {
  delivery satisfies Delivery;
  if (delivery.kind === "gap") delivery.missed satisfies number | undefined;
  else if (delivery.kind === "completed") delivery.outcome satisfies "complete" | "failed";
}
const { id } = await client.publish("a", { n: 1 }, { name: "tick" });
id satisfies string;
const { history } = await client.subscribe("b", { start: "last:3" });
history?.[0]?.events[0]?.id satisfies string | undefined;

const core = new Core("/", { transports: tabs({ name: "all" }), resume: client.lastEventId });
core.addEventListener("open", ({ transport }) => transport satisfies string);
// @ts-expect-error: the core only receives
core.publish("a", 1);
// @ts-expect-error: there is no such transport
new EventCast("/", { transports: ["carrier-pigeon"] });
