/** The side of the local cloud that a request went to. */
export type Side = "hetzner" | "github";

/** One request and what it was answered. Bodies are kept as JSON where they are JSON. */
export interface LoggedRequest {
  readonly side: Side;
  readonly method: string;
  /** Path below the API's root, e.g. `/servers/1` or `/orgs/acme/actions/secrets`. */
  readonly path: string;
  readonly query: string;
  readonly body: unknown;
  readonly status: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Milliseconds until the answer was ready. */
  readonly duration: number;
}

/** What a fault does to the request that meets it. */
export type FaultEffect =
  | {
      readonly kind: "respond";
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body: unknown;
    }
  | { readonly kind: "delay"; readonly ms: number }
  | { readonly kind: "drop" };

/** A fault to come: meets the requests that match, `times` times (default 1), after letting `after` of them pass (default 0). */
export interface Fault {
  readonly side: Side;
  readonly method?: string;
  /** Compared with the path below the API's root. */
  readonly path?: RegExp;
  readonly times?: number;
  readonly after?: number;
  readonly effect: FaultEffect;
}

/** Everything that tests look at and steer from outside the APIs: request log, surprises, faults. One object for both sides. */
export class Traffic {
  readonly requests: LoggedRequest[] = [];
  /** Requests that the real API would not have understood (unknown route or field): a test ends with none. */
  readonly surprises: string[] = [];
  private pending: { fault: Fault; passed: number; left: number }[] = [];

  record(request: LoggedRequest): void {
    this.requests.push(request);
  }

  surprise(text: string): void {
    this.surprises.push(text);
  }

  /** Hands out the surprises so far and forgets them: for tests that cause one on purpose. */
  takeSurprises(): string[] {
    return this.surprises.splice(0);
  }

  addFault(fault: Fault): void {
    this.pending.push({ fault, passed: 0, left: fault.times ?? 1 });
  }

  /** The effect for this request, if a fault meets it. */
  takeFault(side: Side, method: string, path: string): FaultEffect | undefined {
    for (const entry of this.pending) {
      const { fault } = entry;
      if (fault.side !== side || (fault.method !== undefined && fault.method !== method)) continue;
      if (fault.path !== undefined && !fault.path.test(path)) continue;
      if (entry.passed < (fault.after ?? 0)) {
        entry.passed += 1;
        continue;
      }
      entry.left -= 1;
      if (entry.left === 0) this.pending = this.pending.filter((other) => other !== entry);
      return fault.effect;
    }
    return undefined;
  }

  /** Faults that have not met a request yet. */
  get unusedFaults(): readonly Fault[] {
    return this.pending.map((entry) => entry.fault);
  }

  reset(): void {
    this.requests.length = 0;
    this.surprises.length = 0;
    this.pending = [];
  }
}
