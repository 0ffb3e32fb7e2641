import { EventCast as Core, type Delivery, type Published, type Slow, type Start } from "./core.js";

export * from "./core.js";

export interface HistoryPage {
  channel: string;
  events: Published[];
  next?: string;
  trimmed: boolean;
}

export interface Member {
  member: string;
  state?: any;
  /** None while it may yet come back. */
  connections: number;
  /** In milliseconds since 1970. */
  since: number;
}

export interface PresencePage {
  channel: string;
  members: number;
  connections: number;
  /** In the order of their ids; absent with `count`. */
  list?: Member[];
  next?: string;
  node?: string;
  revision?: number;
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
  /** A page of who is on a channel, or with `count` only how many. */
  presence(
    channel: string,
    options?: { after?: string; limit?: number; count?: 1; signal?: AbortSignal },
  ): Promise<PresencePage>;
  /** Sets the state, text or JSON, of this client's member on a channel that its URL (`presence`) has it
   * enter; without one takes it away. */
  update(channel: string, state?: unknown): Promise<void>;
  /** Brings new credentials, asked of `token` with `{ refresh: true }`, before the old ones expire: the
   * session goes on without a cut. */
  refresh(): Promise<{ expires?: number }>;
  /** Asks the server something, and is answered with a payload. Never asked twice. */
  request(name: string, data?: unknown, options?: { encoding?: "json"; signal?: AbortSignal }): Promise<any>;
}
