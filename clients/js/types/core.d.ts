/** A transport, by its name in the server's `transport` parameter. */
export type TransportName = "websocket" | "sse" | "stream" | "poll";

/** A way of one's own, such as that of `eventcast/tabs`. */
export interface CustomTransport {
  (link: any): Promise<void>;
  readonly kind: string;
}

export type Transport = TransportName | CustomTransport;

/** Where channels begin without an id: `live`, `earliest`, `last:N`, `since:MILLIS`, `after:ID`. */
export type Start = "live" | "earliest" | (string & {});

/** What a reader gets that falls off what is retained. */
export type Slow = "gap" | "conflate" | "disconnect";

/** `idle` before the first listener; `waiting` between attempts; `paused` offline, hidden, without
 * channels, or until the iterator's user has caught up. */
export type State = "idle" | "connecting" | "open" | "waiting" | "paused" | "closed";

/** `completed`: every channel has ended. `closed`: the server ended the session for good. */
export type CloseReason = "completed" | "closed" | "client" | "error";

export interface Refresh {
  /** The server refused what was given last. */
  refresh: boolean;
}

export interface Options {
  /** Names, or patterns as `orders/*`. */
  channels?: string | readonly string[];
  /** Tried in this order; the first that opens is kept. Default: all four, as in the type. */
  transports?: Transport | readonly Transport[];
  /** The id to resume with: another client's `lastEventId`. */
  resume?: string;
  /** Where channels begin without an id. Default `live`. */
  start?: Start;
  slow?: Slow;
  /** Only events of these names; `message` stands for those without one. */
  event?: string | readonly string[];
  /** Sent as `Authorization: Bearer`. A function is asked for each request, and once more after a 401. */
  token?: string | ((how: Refresh) => string | undefined | Promise<string | undefined>);
  /** The query parameter that brings the token along on a WebSocket, which takes no headers. Without
   * it, and without `tickets`, a client that has a token or headers uses no WebSocket. */
  tokenParameter?: string;
  /** A WebSocket gets a ticket for each connection, by a POST that has the token and headers. */
  tickets?: boolean;
  /** Further headers of every request. */
  headers?: Record<string, string> | ((how: Refresh) => Record<string, string> | Promise<Record<string, string>>);
  /** As in `fetch`. */
  credentials?: "omit" | "same-origin" | "include";
  /** Wait before coming back, in ms, until the server says another: half of it to one and a half
   * times it, at random. Default 2000. */
  retry?: number;
  /** The least such wait, in ms, whatever the server says. Default 100. */
  minRetry?: number;
  /** The longest such wait after failures, in ms. Default 60000. A server that names a time is
   * believed up to an hour. */
  maxRetry?: number;
  /** How many connections may be attempted in any one minute; the next one waits. Default 60. */
  attemptsPerMinute?: number;
  /** How long an attempt may take to open, in ms. Default 10000. */
  connectTimeout?: number;
  /** How long a publish, request or change may take, in ms. Default 35000. */
  requestTimeout?: number;
  /** How many times more a publish or a change is tried. Default 5. */
  requestAttempts?: number;
  /** How long a poll may wait, in seconds. Default 25. */
  pollWait?: number;
  /** Bound of the iterator's queue, in deliveries. Default 1024. */
  maxQueue?: number;
  /** The same in characters on the wire. Default 8 Mi. */
  maxQueueBytes?: number;
  /** The largest message or answer of the server, in bytes, or in characters where it is a text
   * message or a line. Default 8 Mi. */
  maxMessage?: number;
  /** Seconds after which a hidden page pauses. Default 0: it does not. */
  pauseHidden?: number;
  fetch?: typeof globalThis.fetch;
  WebSocket?: new (url: string, protocols: string[]) => any;
}

export type Payload =
  | { encoding: "text"; data: string }
  | { encoding: "json"; data: any }
  | { encoding: "binary"; data: Uint8Array };

export type Published = Payload & {
  /** `ephemeral` events have no id. */
  kind: "event" | "ephemeral";
  id?: string;
  channel: string;
  name?: string;
};

/** Events of the channel are lost: load its state anew. */
export interface Gap {
  kind: "gap";
  id?: string;
  channel: string;
  reason: "trimmed" | "slow" | "epoch" | "unknown" | (string & {});
  missed?: number;
}

export interface Completed {
  kind: "completed";
  id?: string;
  channel: string;
  outcome: "complete" | "failed";
  reason?: string;
}

export interface Conflated {
  kind: "conflated";
  channel: string;
  count: number;
}

/** The server cannot reach the log of its events, or is behind: events may be late, none is lost. */
export interface Stalled {
  kind: "stalled";
}

/** It has its log again: what was published meanwhile follows. */
export interface Recovered {
  kind: "recovered";
}

export type Delivery = Published | Gap | Completed | Conflated | Stalled | Recovered;

export interface EventMap {
  /** Every published event, whatever its name. */
  event: Event & Published;
  /** Events without a name, or named `message`. */
  message: Event & Published;
  gap: Event & Gap;
  completed: Event & Completed;
  conflated: Event & Conflated;
  stalled: Event & Stalled;
  recovered: Event & Recovered;
  open: Event & { transport: TransportName | (string & {}); channels: string[] };
  state: Event & { state: State; previous: State };
  error: Event & { error: EventCastError };
  close: Event & { reason: CloseReason; error?: EventCastError };
}

type Listener<E> = ((event: E) => void) | { handleEvent(event: E): void };

/** Tells listeners. The one of `eventcast` is iterated, too, changes its channels, publishes and asks. */
export declare class EventCast extends EventTarget {
  /** `url` is the service, or its `/events`; the page's own origin by default. */
  constructor(url?: string | URL | null, options?: Options);
  readonly state: State;
  /** All up to here is processed: what another client resumes with. */
  readonly lastEventId: string | undefined;
  readonly transport: TransportName | (string & {});
  readonly channels: string[];
  readonly reason: CloseReason | undefined;
  readonly error: EventCastError | undefined;

  /** Connects. The first listener does so, too. */
  connect(): void;
  close(): void;

  addEventListener<K extends keyof EventMap>(
    type: K, listener: Listener<EventMap[K]> | null, options?: boolean | AddEventListenerOptions): void;
  addEventListener(
    type: string, listener: Listener<Event & Published> | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof EventMap>(
    type: K, listener: Listener<EventMap[K]> | null, options?: boolean | EventListenerOptions): void;
  removeEventListener(
    type: string, listener: Listener<Event & Published> | null, options?: boolean | EventListenerOptions): void;
}

export declare class EventCastError extends Error {
  /** A WebSocket's error code, or what an HTTP status stands for; `refused` for a subscription;
   * `unreachable`, `disconnected`, `garbled`, `too_large`, `token`. */
  readonly code: string;
  readonly status?: number;
  /** In ms. */
  readonly retryAfter?: number;
  readonly retryable?: boolean;
}
