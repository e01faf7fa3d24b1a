import { textTable } from "../text/table";
import { billSentences, breakEvenSentences } from "./costWords";
import type { FleetStatus, HostStatus, JobStatus } from "./model";
import { bytes, duration, minute, plural, routingSentences, slotCounts } from "./words";

/** Widest line, in characters. */
export const WIDTH = 100;
const LAST_JOBS = 8;
const MOST_QUEUED = 8;

/** Everything for people in a terminal; no line is wider than WIDTH. */
export function renderTable(status: FleetStatus): string {
  const sections: (readonly [string, string])[] = [
    ["Hosts", hostTable(status.hosts)],
    [
      "Pools",
      lines(
        status.pools.map(({ name, versionLife }) => `${name}, runner program: ${versionLife}.`),
      ),
    ],
    ["Routing", lines(routingSentences(status.routing))],
    ["Jobs", jobTable(status)],
    ["Costs", lines(costSentences(status))],
    ["Differences from the state", driftText(status)],
    ["Not read", lines(status.problems)],
  ];
  const { stack, organization, readAt } = status;
  const title = `Stack ${stack} of ${organization}, ${readAt.slice(0, 19).replace("T", " ")} UTC\n`;
  const body = sections
    .filter(([, text]) => text !== "")
    .map(([heading, text]) => `\n${heading}\n${text}`)
    .join("");
  return (title + body)
    .split("\n")
    .map((line) => clip(line, WIDTH))
    .join("\n");
}

/** What a terminal shows as it is: control and formatting characters of others' names could rewrite the screen. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\uFFFD");
}

function hostTable(hosts: readonly HostStatus[]): string {
  if (hosts.length === 0) return lines(["There are none: `pulumi up` makes them."]);
  const rows = hosts.map((host) => [
    clipStart(host.name, 26),
    host.serverType,
    host.location,
    clip(slotWords(host), 28),
    `${host.online ?? "?"}/${host.busy ?? "?"}`,
    host.diskFreeBytes === null ? "-" : bytes(host.diskFreeBytes),
    host.cacheBytes === null ? "-" : bytes(host.cacheBytes),
  ]);
  const table = textTable([
    ["HOST", "TYPE", "PLACE", "SLOTS", "ON/BUSY", "FREE", "CACHE"],
    ...rows,
  ]);
  const notes = hosts
    .filter(({ reach, pool }) => reach !== "answers" && pool !== null)
    .map(({ name, reason }) => `${name} says nothing itself: ${reason ?? "it was not asked"}.`);
  return indent(table) + lines(notes);
}

function slotWords(host: HostStatus): string {
  if (!["running", "unknown"].includes(host.server)) return `server is ${host.server}`;
  return host.slots.length === 0 ? "-" : slotCounts(host);
}

function jobTable({ jobs, readAt }: FleetStatus): string {
  if (jobs === null) return lines(["GitHub does not say which there are."]);
  const now = Date.parse(readAt);
  const time = (iso: string | null) => (iso === null ? now : Date.parse(iso));
  const row = (job: JobStatus, state: string, took: number) => [
    minute(job.startedAt ?? job.queuedAt),
    clip(`${job.repository}: ${job.name}`, 34),
    state,
    duration(took),
    clip(job.host === null ? whereWords(job) : `${job.host}-${job.slot}`, 26),
  ];
  const queued = jobs.queued
    .slice(0, MOST_QUEUED)
    .map((job) => row(job, job.on === "own" ? "waits" : "waits, other", now - time(job.queuedAt)));
  const running = jobs.running.map((job) => row(job, "runs", now - time(job.startedAt)));
  const done = jobs.done
    .slice(0, LAST_JOBS)
    .map((job) => row(job, job.conclusion ?? "done", time(job.completedAt) - time(job.startedAt)));
  const waiting = jobs.queued.filter(({ on }) => on === "own").length;
  const summary = `${plural(waiting, "job waits", "jobs wait")} for own runners, ${plural(jobs.queued.length - waiting, "waits", "wait")} for others; ${plural(jobs.running.length, "runs", "run")}; ${jobs.done.length} done in ${plural(jobs.runs, "run")} since ${jobs.from.slice(0, 10)}${jobs.truncated ? ", and there are more runs than were looked at" : ""}.`;
  const rows = [...queued, ...running, ...done];
  return (
    lines([summary]) +
    (rows.length === 0
      ? ""
      : indent(textTable([["SINCE (UTC)", "JOB", "STATE", "TIME", "WHERE"], ...rows])))
  );
}

function whereWords({ on, runner }: JobStatus): string {
  return on === "hosted" ? "hosted" : (runner ?? "-");
}

function costSentences({ costs, jobs }: FleetStatus): string[] {
  return costs === null
    ? ["Hetzner does not say what there is and what it costs."]
    : [...billSentences(costs), ...breakEvenSentences(costs, jobs)];
}

function driftText({ drift }: FleetStatus): string {
  const more =
    "`pulumi preview --refresh` is the whole answer: this looks at names, types, labels and values alone.";
  return lines([...(drift.length === 0 ? ["None was seen."] : drift), more]);
}

/** Sentences, each on lines of its own that are no wider than WIDTH. */
function lines(sentences: readonly string[]): string {
  return sentences
    .map((sentence) => `${wrap(printable(sentence)).join("\n    ")}\n`)
    .map((text) => `  ${text}`)
    .join("");
}

function wrap(text: string): string[] {
  const found: string[] = [];
  for (const word of text.split(" ")) {
    const last = found.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH - 4)
      found[found.length - 1] = `${last} ${word}`;
    else found.push(word);
  }
  return found;
}

function indent(table: string): string {
  return table.replace(/^(?=.)/gm, "  ");
}

/** Whole characters, so that none is cut in two. */
function clip(text: string, width: number): string {
  const characters = [...printable(text)];
  return characters.length <= width
    ? characters.join("")
    : `${characters.slice(0, width - 1).join("")}…`;
}

/** The same for names whose end tells them apart. */
function clipStart(text: string, width: number): string {
  const characters = [...printable(text)];
  return characters.length <= width
    ? characters.join("")
    : `…${characters.slice(characters.length - width + 1).join("")}`;
}
