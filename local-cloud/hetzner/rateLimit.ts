/** The project's request budget: a bucket of `limit` requests that refills evenly over an hour. */
export class RateLimit {
  private remaining: number;
  private refilledAt = Date.now();

  constructor(private limit: number) {
    this.remaining = limit;
  }

  /** Sets what is left now, and optionally another size of the bucket (requests per hour). */
  set(remaining: number, limit = this.limit): void {
    this.limit = limit;
    this.remaining = remaining;
    this.refilledAt = Date.now();
  }

  /** Takes one request out of the bucket; `false` when it is empty. */
  take(): boolean {
    const now = Date.now();
    const perMs = this.limit / 3_600_000;
    this.remaining = Math.min(this.limit, this.remaining + (now - this.refilledAt) * perMs);
    this.refilledAt = now;
    if (this.remaining < 1) return false;
    this.remaining -= 1;
    return true;
  }

  headers(): Record<string, string> {
    const secondsToFull = ((this.limit - this.remaining) / this.limit) * 3600;
    return {
      "RateLimit-Limit": String(this.limit),
      "RateLimit-Remaining": String(Math.floor(this.remaining)),
      "RateLimit-Reset": String(Math.ceil(this.refilledAt / 1000 + secondsToFull)),
    };
  }
}
