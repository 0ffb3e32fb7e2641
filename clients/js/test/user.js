// The user of a client in a scenario: what they are told, and what they do. Runs in pages, too.

const QUICK = { retry: 20, minRetry: 1, maxRetry: 1000, connectTimeout: 15_000, attemptsPerMinute: 60_000 };

const given = (value) => Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined));
const plain = (data) => (data instanceof Uint8Array ? [...data] : data);

/** The options that a scenario's `client` stands for. */
export function options({ tokens, defaults, ...rest }, transport) {
  const made = { ...(defaults ? {} : QUICK), ...rest };
  if (transport) made.transports = [transport];
  if (tokens) {
    let asked = 0;
    made.token = async () => {
      const token = tokens[Math.min(asked, tokens.length - 1)];
      asked += 1;
      if (token === null) throw new Error("no token");
      return token;
    };
  }
  return made;
}

/** A client of this class, and all that is looked at of it. */
export function user(EventCast, url, client, transport) {
  const events = new EventCast(url, options(client, transport));
  const told = [];
  events.addEventListener("open", ({ transport }) => told.push({ open: transport }));
  events.addEventListener("state", ({ state }) => { if (state === "waiting") told.push({ waiting: true }); });
  events.addEventListener("event", ({ kind, id, channel, name, data, encoding }) =>
    told.push(given({ [kind]: plain(data), id, channel, name, encoding })));
  events.addEventListener("gap", ({ id, channel, reason, missed }) => told.push(given({ gap: reason, id, channel, missed })));
  events.addEventListener("completed", ({ channel, outcome, reason }) => told.push(given({ completed: outcome, channel, reason })));
  events.addEventListener("conflated", ({ channel, count }) => told.push({ conflated: count, channel }));
  for (const type of ["stalled", "recovered"]) events.addEventListener(type, () => told.push({ [type]: true }));
  return {
    look: () => {
      const { reason, state, lastEventId, channels, error } = events;
      const { status, code, message } = error ?? {};
      return { told, reason, state, lastEventId, channels, error: error && { status, code, message } };
    },
    /** What comes of an action: an answer, or the code of an error. */
    act: async ({ subscribe, unsubscribe, refresh, publish, request, start, data, name, key }) => {
      try {
        if (subscribe) {
          const { channels, history } = await events.subscribe(subscribe, { start });
          return { channels, history: history?.flatMap((page) => page.events.map((event) => event.data)) };
        }
        if (unsubscribe) return { channels: (await events.unsubscribe(unsubscribe), events.channels) };
        if (refresh) return await events.refresh();
        if (publish) return { id: (await events.publish(publish, data, { name, idempotencyKey: key })).id };
        return { data: await events.request(request, data) };
      } catch (error) {
        return { error: { code: error.code === "unreachable" ? "no_answer" : error.code } };
      }
    },
    close: () => events.close(),
  };
}
