// Waiting for something to happen.

export function bell() {
  const waiting = new Set();
  return {
    /** Until it rings, or for so many ms. */
    wait: (limit) => new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        waiting.delete(done);
        resolve();
      };
      const timer = limit && setTimeout(done, limit);
      waiting.add(done);
    }),
    ring() { waiting.forEach((done) => done()); },
  };
}
