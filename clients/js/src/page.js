// Whether the page can use a connection now.

/** Calls `hold(why)` and `release(why)`. Where there is no page nothing is ever held. */
export function holdWhileAway(hiddenAfter, hold, release) {
  const { document, navigator } = globalThis;
  const undo = [];
  const on = (target, name, handle) => {
    target?.addEventListener?.(name, handle);
    undo.push(() => target?.removeEventListener?.(name, handle));
  };
  if (navigator?.onLine === false) hold("offline");
  on(globalThis, "offline", () => hold("offline"));
  on(globalThis, "online", () => release("offline"));
  if (document) {
    // A page that is kept for the way back has no connections.
    on(globalThis, "pagehide", () => hold("left"));
    on(globalThis, "pageshow", () => release("left"));
    let timer;
    on(document, "visibilitychange", () => {
      clearTimeout(timer);
      // Timers of a hidden page are late.
      if (document.visibilityState !== "hidden") release("hidden");
      else if (hiddenAfter) timer = setTimeout(hold, hiddenAfter * 1000, "hidden");
    });
    undo.push(() => clearTimeout(timer));
  }
  return () => undo.forEach((one) => one());
}
