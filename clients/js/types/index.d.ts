import { EventCast as Core, type Delivery, type Published, type Slow, type Start } from "./core.js";

export * from "./core.js";

export interface HistoryPage {
  channel: string;
  events: Published[];
  next?: string;
  trimmed: boolean;
}

export declare class EventCast extends Core implements AsyncIterable<Delivery> {
  /** Deliveries in order. Throws the final error; leaving the loop closes the client. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Delivery>;

  /** Adds channels to the live session, which every later connection keeps. */
  subscribe(
    channels: string | readonly string[],
    options?: { start?: Start; slow?: Slow },
  ): Promise<{ channels: string[]; history?: HistoryPage[] }>;
  /** Removes channels. */
  unsubscribe(channels: string | readonly string[]): Promise<void>;
  /** Publishes by POST; a retry stores nothing twice. */
  publish(
    channel: string,
    data: unknown,
    options?: { name?: string; encoding?: "json"; idempotencyKey?: string; signal?: AbortSignal },
  ): Promise<{ channel: string; id: string }>;
  /** Brings new credentials, asked of `token` with `{ refresh: true }`, before the old ones expire: the
   * session goes on without a cut. */
  refresh(): Promise<{ expires?: number }>;
  /** Asks the server something, and is answered with a payload. Never asked twice. */
  request(name: string, data?: unknown, options?: { encoding?: "json"; signal?: AbortSignal }): Promise<any>;
}
