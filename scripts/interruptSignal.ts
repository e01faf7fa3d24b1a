/**
 * Fires at Ctrl-C, SIGTERM or SIGHUP. The handlers stay: npm sends a terminal's signal on, so that it arrives twice, and
 * the second must not end what says how things stand.
 */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => controller.abort());
  }
  return controller.signal;
}
