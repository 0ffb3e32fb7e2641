import type { Transport } from "./core.js";

export interface TabsOptions {
  /** Tabs with the same name share a connection. Default: those with the same URL, `slow` and `event`. */
  name?: string;
  /** What the one connection is made over, and each tab's own where tabs cannot share. */
  transports?: Transport | readonly Transport[];
}

/** For the option `transports`: one connection for all tabs of an origin. */
export declare function tabs(options?: TabsOptions): Transport | readonly Transport[];
