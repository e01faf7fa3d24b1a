/** How fast a thin host is, in milliseconds. */
export interface Pace {
  /** From power on until SSH answers. */
  readonly boot: number;
  /** Between attempts to configure a host that nobody reaches. */
  readonly apply: number;
  /** Between the end of a runner and the start of the next. */
  readonly restart: number;
  /** Between a job's signs of life, which also tell whether it is to be cancelled. */
  readonly heartbeat: number;
}

export const PACE: Pace = { boot: 200, apply: 2000, restart: 1000, heartbeat: 2000 };
