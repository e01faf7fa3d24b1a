import { ApiError } from "./http";

/** What a client may do within an hour, and how fast it may create content. */
export interface RateLimit {
  /** Requests per hour and user; GitHub: 5000. */
  readonly limit: number;
  /** Seconds until a bucket is full again; GitHub: 3600. */
  readonly windowSeconds: number;
  /** Writes per minute and user before the secondary limit meets them; GitHub: about 80. Not limited by default. */
  readonly writesPerMinute: number;
}

export const gitHubRateLimit: RateLimit = {
  limit: 5000,
  windowSeconds: 3600,
  writesPerMinute: Infinity,
};

interface Bucket {
  used: number;
  resetAt: number;
  writes: number[];
}

/** One bucket for each user (or App installation); everybody without a credential shares one of 60. */
export class RateLimiter {
  private readonly buckets = new Map<string, Bucket>();

  constructor(
    private readonly now: () => number,
    private readonly rate: RateLimit,
  ) {}

  /** Counts a request; throws when it is one too many. */
  take(who: string | undefined, isWrite: boolean): void {
    const bucket = this.bucket(who);
    const limit = this.limit(who);
    if (bucket.used >= limit)
      throw new ApiError(403, `API rate limit exceeded for user ${who ?? "127.0.0.1"}.`, {
        documentation:
          "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api",
      });
    bucket.used += 1;
    if (!isWrite) return;
    const now = this.now();
    bucket.writes = bucket.writes.filter((at) => now - at < 60_000);
    const [oldest] = bucket.writes;
    if (oldest !== undefined && bucket.writes.length >= this.rate.writesPerMinute)
      throw new ApiError(
        403,
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        {
          documentation:
            "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits",
          headers: { "retry-after": String(Math.ceil((oldest + 60_000 - now) / 1000)) },
        },
      );
    bucket.writes.push(now);
  }

  /** Takes back a request that GitHub does not count, such as one that was answered 304. */
  giveBack(who: string | undefined): void {
    const bucket = this.bucket(who);
    bucket.used = Math.max(0, bucket.used - 1);
  }

  status(who: string | undefined) {
    const { used, resetAt } = this.bucket(who);
    const limit = this.limit(who);
    return {
      limit,
      used,
      remaining: Math.max(0, limit - used),
      reset: Math.ceil(resetAt / 1000),
    };
  }

  headers(who: string | undefined): Record<string, string> {
    const { limit, used, remaining, reset } = this.status(who);
    return {
      "x-ratelimit-limit": String(limit),
      "x-ratelimit-remaining": String(remaining),
      "x-ratelimit-reset": String(reset),
      "x-ratelimit-used": String(used),
      "x-ratelimit-resource": "core",
    };
  }

  private limit(who: string | undefined): number {
    return who === undefined ? Math.min(60, this.rate.limit) : this.rate.limit;
  }

  private bucket(who: string | undefined): Bucket {
    const key = who ?? "";
    const known = this.buckets.get(key);
    if (known !== undefined && known.resetAt > this.now()) return known;
    const fresh = {
      used: 0,
      resetAt: this.now() + this.rate.windowSeconds * 1000,
      writes: known?.writes ?? [],
    };
    this.buckets.set(key, fresh);
    return fresh;
  }
}
