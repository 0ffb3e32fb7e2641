// Channels that come and go while a session lives.

import { ask } from "./link.js";
import { published } from "./wire.js";

const BETWEEN_POLLS = 50;

export async function subscribe(driver, channels, { start, slow }) {
  const { feed, requests, options } = driver;
  driver.connect();
  if (!feed.wanted.size && driver.state !== "closed") {
    if (driver.opened) feed.forget();
    if (start !== undefined) options.start = start;
    if (slow !== undefined) options.slow = slow;
    channels.forEach((channel) => feed.want(channel));
    driver.poke();
    await driver.whenOpen();
    return { channels: [...feed.wanted] };
  }
  return requests.again(async () => {
    const link = await driver.whenOpen();
    let answer;
    try {
      answer = link.send
        ? await ask(link, { type: "subscribe", channels, start, slow })
        : await requests.ask("POST", `sessions/${link.key}`, { channel: channels, start, slow });
    } catch (error) {
      if (!link.send && error.status === 404) {
        // The server forgot the session.
        link.leave();
        error.retryable = true;
      }
      throw error;
    }
    if (link.signal.aborted) throw Object.assign(new Error("the session was cut"), { retryable: true });
    channels.forEach((channel) => feed.want(channel));
    const history = answer.history?.map((page) => ({ ...page, events: page.events.map((event) => published(event)) }));
    return { channels: answer.channels, history };
  }, undefined, (error) => (error.status === 409 && start !== undefined ? BETWEEN_POLLS : error.retryable));
}

export async function unsubscribe(driver, channels) {
  const { feed, link, requests } = driver;
  channels.forEach((channel) => feed.unwant(channel));
  if (!link) return;
  try {
    // Without channels, or an open connection, there is nothing to change.
    if (!feed.wanted.size || !link.opened) throw undefined;
    await (link.send
      ? ask(link, { type: "unsubscribe", channels })
      : requests.ask("DELETE", `sessions/${link.key}`, { channel: channels }));
  } catch {
    link.leave(); // to come back without naming them
  }
}
