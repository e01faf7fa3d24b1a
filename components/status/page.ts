import { billSentences, breakEvenSentences } from "./costWords";
import type { CostStatus, FleetStatus, HostStatus, JobsStatus, JobStatus } from "./model";
import { STYLE } from "./style";
import { bytes, duration, minute, plural, routingSentences } from "./words";

/**
 * One page that needs nothing else: no script, no file, no network. Names of jobs, repositories and workflows are what
 * anybody who opens a pull request may choose, so every text goes through `escape`, and the page's own policy forbids
 * whatever would get past it.
 */
export function renderPage(status: FleetStatus): string {
  const { stack, organization, readAt } = status;
  const title = `Runners of ${organization}, stack ${stack}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(title)}</title>
<link rel="icon" href="data:,">
<style>
${STYLE}</style>
</head>
<body>
<header>
<h1>${escape(title)}</h1>
<p class="quiet">As of <time datetime="${escape(readAt)}">${escape(minute(readAt))} UTC</time></p>
</header>
<main>
${[
  tiles(status),
  notes("Not read", status.problems, "bad"),
  topology(status),
  section("Routing", paragraphs(routingSentences(status.routing))),
  jobSections(status),
  costSection(status),
  driftSection(status),
].join("")}</main>
</body>
</html>
`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** For text and for attributes in quotes. Characters that turn the direction of writing around are shown as such. */
export function escape(text: string): string {
  return text
    .replace(/[&<>"']/g, (character) => ENTITIES[character]!)
    .replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "\uFFFD");
}

function section(heading: string, body: string): string {
  return `<section>\n<h2>${escape(heading)}</h2>\n${body}</section>\n`;
}

function paragraphs(sentences: readonly string[], kind = ""): string {
  const attribute = kind === "" ? "" : ` class="${kind}"`;
  return sentences.map((sentence) => `<p${attribute}>${escape(sentence)}</p>\n`).join("");
}

function notes(heading: string, sentences: readonly string[], kind: string): string {
  return sentences.length === 0 ? "" : section(heading, paragraphs(sentences, kind));
}

/** The numbers that are looked for first. */
function tiles({ hosts, jobs, costs, drift }: FleetStatus): string {
  const runners = hosts.filter(({ pool }) => pool !== null);
  const sum = (of: (host: HostStatus) => number | null) =>
    runners.some((host) => of(host) === null)
      ? "?"
      : String(runners.reduce((total, host) => total + of(host)!, 0));
  const slots = runners.reduce((total, host) => total + host.slots.length, 0);
  const own = jobs?.queued.filter(({ on }) => on === "own").length;
  const all: (readonly [string, string, string?])[] = [
    [runners.length === 1 ? "host" : "hosts", String(runners.length)],
    [`of ${slots} slots online`, sum(({ online }) => online)],
    ["busy", sum(({ busy }) => busy)],
    ["waiting jobs", own === undefined ? "?" : String(own)],
    costs === null
      ? ["this month", "?"]
      : [`${costs.currency} this month`, costs.soFar.net, costs.overBudget ? "bad" : ""],
    [
      drift.length === 1 ? "difference" : "differences",
      String(drift.length),
      drift.length > 0 ? "warn" : "",
    ],
  ];
  const tile = ([label, value, kind = ""]: readonly [string, string, string?]) =>
    `<li class="tile ${kind}"><strong>${escape(value)}</strong> <span>${escape(label)}</span></li>\n`;
  return `<ul class="tiles">\n${all.map(tile).join("")}</ul>\n`;
}

function topology({ pools, hosts }: FleetStatus): string {
  const blocks = pools.map(({ name, labels, versionLife, versionState }) => {
    const kind = versionState === "ended" ? "bad" : versionState === "ending" ? "warn" : "quiet";
    const own = hosts.filter(({ pool }) => pool === name);
    const about = `<p class="quiet">${escape(labels.join(", "))}</p>\n<p class="${kind}">${escape(versionLife)}.</p>\n`;
    return `<h3>Pool ${escape(name)}</h3>\n${about}<ul class="hosts">\n${own.map(hostCard).join("")}</ul>\n`;
  });
  const known = new Set(pools.map(({ name }) => name));
  const others = hosts.filter(({ pool }) => pool === null || !known.has(pool));
  if (others.length > 0) {
    blocks.push(
      `<h3>Other servers</h3>\n<ul class="hosts">\n${others.map(hostCard).join("")}</ul>\n`,
    );
  }
  return section("Fleet", blocks.join(""));
}

function hostCard(host: HostStatus): string {
  const { name, serverType, location, server, reach, reason, slots, pool } = host;
  const kind = server === "running" ? "good" : server === "unknown" ? "" : "bad";
  const facts = [serverType, location, ...(server === "running" ? [] : [`server is ${server}`])];
  const silent =
    reach === "answers" || pool === null
      ? ""
      : `<p class="warn">Says nothing itself: ${escape(reason ?? "it was not asked")}.</p>\n`;
  const items = slots.map(({ slot, state, failures, drainedBy }) => {
    const more = [
      ...(failures > 0 ? [plural(failures, "failure")] : []),
      ...(drainedBy === null ? [] : [`by ${drainedBy}`]),
    ];
    const text = [state, ...more].join(", ");
    return `<li class="slot ${SLOT_KINDS[state] ?? ""}"><b>${slot}</b> ${escape(text)}</li>\n`;
  });
  return `<li class="host">\n<h4 class="${kind}">${escape(name)}</h4>\n<p class="quiet">${escape(facts.join(" · "))}</p>\n${silent}${
    items.length === 0 ? "" : `<ul class="slots">\n${items.join("")}</ul>\n`
  }${disk(host)}</li>\n`;
}

const SLOT_KINDS: Readonly<Record<string, string>> = {
  working: "work",
  busy: "work",
  listening: "good",
  online: "good",
  starting: "quiet",
  draining: "warn",
  drained: "warn",
  "backing-off": "bad",
  stopped: "bad",
  offline: "bad",
};

function disk({ diskSizeBytes: size, diskFreeBytes: free, cacheBytes: cache }: HostStatus): string {
  if (size === null || free === null || size <= 0) return "";
  const used = percent((size - free) / size);
  const kind = free / size < 0.1 ? "bad" : free / size < 0.2 ? "warn" : "";
  const text = `${bytes(free)} of ${bytes(size)} free${cache === null ? "" : `, cache ${bytes(cache)}`}`;
  return `<div class="bar ${kind}"><i style="width:${used}"></i></div>\n<p class="quiet">${escape(text)}</p>\n`;
}

function percent(part: number): string {
  return `${(Math.min(1, Math.max(0, part)) * 100).toFixed(2)}%`;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const MINUTE_MS = 60_000;
const LAST_JOBS = 12;

function jobSections({ jobs, readAt }: FleetStatus): string {
  if (jobs === null) return section("Jobs", paragraphs(["GitHub does not say which there are."]));
  const more = jobs.truncated
    ? paragraphs([
        `Only the newest ${plural(jobs.runs, "run")} were looked at, back to ${minute(jobs.from)} UTC.`,
      ])
    : "";
  return [
    section("Last 24 hours", `${legend}${lanes(jobs, Date.parse(readAt))}`),
    section("Minutes a day, own and hosted", `${legend}${days(jobs, Date.parse(readAt))}${more}`),
    section("Jobs", jobList(jobs, Date.parse(readAt))),
  ].join("");
}

const legend = `<p class="legend"><i class="own"></i> own <i class="hosted"></i> hosted <i class="other"></i> elsewhere</p>\n`;

function began(job: JobStatus): number {
  return Date.parse(job.startedAt ?? job.queuedAt);
}

function ended(job: JobStatus, now: number): number {
  return job.completedAt === null ? now : Date.parse(job.completedAt);
}

/** A line for each slot that had a job, and one for all hosted runners; jobs lie on them from left to right. */
function lanes(jobs: JobsStatus, now: number): string {
  const from = now - DAY_MS;
  const shown = [...jobs.running, ...jobs.done].filter((job) => ended(job, now) >= from);
  if (shown.length === 0) return paragraphs(["No job ran."], "quiet");
  const names = (job: JobStatus) =>
    job.host === null
      ? job.on === "hosted"
        ? "hosted runners"
        : "elsewhere"
      : `${job.host}-${job.slot}`;
  const own = new Set(shown.filter(({ host }) => host !== null).map(names));
  const rows = [
    ...[...own].sort((one, other) => one.localeCompare(other, "en", { numeric: true })),
    ...["hosted runners", "elsewhere"].filter((name) => shown.some((job) => names(job) === name)),
  ].map((name) => {
    const marks = shown
      .filter((job) => names(job) === name)
      .map((job) => {
        const start = Math.max(from, began(job));
        const left = percent((start - from) / DAY_MS);
        const width = percent((ended(job, now) - start) / DAY_MS);
        const failed = job.conclusion === "failure" ? " failed" : "";
        const about = `${job.repository}: ${job.name}, ${minute(job.startedAt ?? job.queuedAt)}, ${duration(ended(job, now) - began(job))}, ${job.conclusion ?? "runs"}`;
        return `<i class="${job.on}${failed}" style="left:${left};width:${width}" title="${escape(about)}"></i>`;
      });
    return `<li><span>${escape(name)}</span><div class="lane">${marks.join("")}</div></li>\n`;
  });
  const axis = [24, 18, 12, 6, 0].map((hours) => {
    const time = new Date(now - hours * 60 * MINUTE_MS).toISOString().slice(11, 16);
    return `<span>${time}</span>`;
  });
  return `<ol class="lanes">\n${rows.join("")}</ol>\n<p class="axis">${axis.join("")}</p>\n`;
}

/** A bar for each day, own minutes below hosted ones. */
function days(jobs: JobsStatus, now: number): string {
  const first = Math.floor(Date.parse(jobs.from) / DAY_MS);
  const last = Math.floor(now / DAY_MS);
  const minutes = new Map<number, { own: number; hosted: number }>();
  for (let day = first; day <= last; day++) minutes.set(day, { own: 0, hosted: 0 });
  for (const job of jobs.done) {
    const day = minutes.get(Math.floor(began(job) / DAY_MS));
    if (day === undefined || job.on === "other") continue;
    day[job.on] += Math.max(1, Math.ceil((ended(job, now) - began(job)) / MINUTE_MS));
  }
  const most = Math.max(1, ...[...minutes.values()].map(({ own, hosted }) => own + hosted));
  const bars = [...minutes].map(([day, { own, hosted }]) => {
    const date = new Date(day * DAY_MS).toISOString().slice(0, 10);
    const about = `${date}: ${own} own, ${hosted} hosted`;
    return `<li title="${about}"><i class="hosted" style="height:${percent(hosted / most)}"></i><i class="own" style="height:${percent(own / most)}"></i></li>`;
  });
  const label = (day: number) => new Date(day * DAY_MS).toISOString().slice(5, 10);
  const total = (of: "own" | "hosted") =>
    [...minutes.values()].reduce((sum, day) => sum + day[of], 0);
  return `<p class="quiet">${total("own")} own and ${total("hosted")} hosted minutes, at most ${plural(most, "minute")} a day.</p>
<ol class="days">${bars.join("")}</ol>
<p class="axis"><span>${label(first)}</span><span>${label(last)}</span></p>
`;
}

function jobList(jobs: JobsStatus, now: number): string {
  const row = (job: JobStatus, state: string, kind: string, took: number) => {
    const where =
      job.host === null
        ? job.on === "hosted"
          ? "hosted"
          : (job.runner ?? "")
        : `${job.host}-${job.slot}`;
    const about = [
      minute(job.startedAt ?? job.queuedAt),
      duration(took),
      ...(where === "" ? [] : [where]),
    ];
    return `<li><span class="name">${escape(`${job.repository}: ${job.name}`)}</span> <span class="${kind}">${escape(state)}</span> <span class="quiet">${escape(about.join(" · "))}</span></li>\n`;
  };
  const rows = [
    ...jobs.queued.map((job) =>
      row(
        job,
        job.on === "own" ? "waits" : "waits elsewhere",
        "warn",
        now - Date.parse(job.queuedAt),
      ),
    ),
    ...jobs.running.map((job) => row(job, "runs", "work", now - began(job))),
    ...jobs.done
      .slice(0, LAST_JOBS)
      .map((job) =>
        row(
          job,
          job.conclusion ?? "done",
          job.conclusion === "success" ? "good" : job.conclusion === "failure" ? "bad" : "quiet",
          ended(job, now) - began(job),
        ),
      ),
  ];
  if (rows.length === 0) return paragraphs(["There are none."], "quiet");
  return `<ul class="jobs">\n${rows.join("")}</ul>\n`;
}

function costSection({ costs, jobs }: FleetStatus): string {
  if (costs === null) {
    return section("Costs", paragraphs(["Hetzner does not say what there is and what it costs."]));
  }
  const items = costs.soFar.items.map(
    ({ server, hours, net }) =>
      `<li><span class="name">${escape(server)}</span> <span class="quiet">${plural(hours, "hour")}</span> <span>${escape(net)}</span></li>\n`,
  );
  return section(
    "Costs",
    `${gauge(costs)}${paragraphs(billSentences(costs))}<ul class="bill">\n${items.join("")}</ul>
<h3>Own hosts against hosted runners</h3>
${paragraphs(breakEvenSentences(costs, jobs))}`,
  );
}

/** So far, by the end of the month, and the budget on one scale. Only lengths are rounded here, no amount is. */
function gauge({ soFar, byMonthEnd, monthly, budget, overBudget, currency }: CostStatus): string {
  const scale = Math.max(0.01, Number(byMonthEnd), Number(monthly), Number(budget ?? 0));
  const part = (amount: string) => percent(Number(amount) / scale);
  const about = [
    `${soFar.net} so far`,
    `${byMonthEnd} by the end of the month`,
    ...(budget === null ? [] : [`budget ${budget}`]),
  ];
  const mark = budget === null ? "" : `<b style="left:${part(budget)}"></b>`;
  return `<div class="gauge${overBudget ? " over" : ""}" role="img" aria-label="${escape(`${about.join(", ")} ${currency}`)}"><i class="end" style="width:${part(byMonthEnd)}"></i><i class="now" style="width:${part(soFar.net)}"></i>${mark}</div>
<p class="quiet">${escape(`${about.join(" · ")} ${currency} net`)}</p>
`;
}

function driftSection({ drift }: FleetStatus): string {
  const found = drift.length === 0 ? paragraphs(["None was seen."]) : paragraphs(drift, "warn");
  return section(
    "Differences from the state",
    `${found}<p class="quiet"><code>pulumi preview --refresh</code> is the whole answer: this looks at names, types, labels and values alone.</p>\n`,
  );
}
