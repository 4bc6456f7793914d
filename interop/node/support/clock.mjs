// One clock for all processes of a machine, and what is made of its times.

/** Milliseconds, by a clock that all processes share. */
export function sinceBoot() {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}

export function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

export function median(values) {
  return quantile(values.toSorted((a, b) => a - b), 0.5);
}
