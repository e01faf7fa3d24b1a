/** Of the page; narrow first. Colours are told apart by lightness too, and never alone: words say the same. */
export const STYLE = `:root {
  color-scheme: light dark;
  --ground: #f5f6f8; --card: #ffffff; --ink: #1b1f24; --soft: #59636e; --line: #d8dde3;
  --own: #0b6e4f; --hosted: #8250df; --other: #8a8f96; --bad: #b3261e; --warn: #8a5a00; --work: #0a58ca; --track: #e6e9ed;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0e1116; --card: #171b21; --ink: #e6e9ed; --soft: #9aa4af; --line: #2b323b;
    --own: #4cc38a; --hosted: #b392f0; --other: #7d858f; --bad: #ff8a80; --warn: #e3b341; --work: #79b8ff; --track: #252b33;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
header, main { max-width: 60rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.25rem; }
main { padding-bottom: 2rem; }
h1 { font-size: 1.35rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.05rem; margin: 0 0 .6rem; }
h3 { font-size: .95rem; margin: 1rem 0 .2rem; }
h2 + h3 { margin-top: 0; }
h4 { font-size: .95rem; margin: 0; font-family: ui-monospace, monospace; }
h4::before { content: ""; display: inline-block; width: .6em; height: .6em; border-radius: 50%; margin-right: .45em; background: var(--other); }
h4.good::before { background: var(--own); }
h4.bad::before { background: var(--bad); }
p { margin: .25rem 0; }
ul, ol { list-style: none; margin: 0; padding: 0; }
code { font-family: ui-monospace, monospace; font-size: .92em; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1rem; margin-top: .9rem; }
.quiet { color: var(--soft); font-size: .875rem; }
p.warn, p.bad { font-size: .9rem; }
.warn { color: var(--warn); }
.bad { color: var(--bad); }
.good { color: var(--own); }
.work { color: var(--work); }
h4.good, h4.bad { color: inherit; }
.tiles { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .6rem; margin-top: .9rem; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: .6rem .7rem; }
.tile strong { display: block; font-size: 1.35rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .8rem; display: block; line-height: 1.25; }
.hosts { display: grid; grid-template-columns: minmax(0, 1fr); gap: .6rem; margin-top: .5rem; }
.host { border: 1px solid var(--line); border-radius: .5rem; padding: .7rem; }
.slots { display: flex; flex-wrap: wrap; gap: .35rem; margin: .5rem 0; }
.slot { border: 1px solid currentColor; border-radius: .4rem; padding: .1rem .5rem; font-size: .85rem; }
.slot b { color: var(--soft); font-weight: 600; margin-right: .15em; }
.bar, .gauge { position: relative; background: var(--track); border-radius: .3rem; overflow: hidden; }
.bar { height: .4rem; margin-top: .5rem; }
.bar i { display: block; height: 100%; background: var(--soft); }
.bar.warn i { background: var(--warn); }
.bar.bad i { background: var(--bad); }
.gauge { height: 1.1rem; }
.gauge i { position: absolute; inset: 0 auto 0 0; }
.gauge .end { background: var(--own); opacity: .35; }
.gauge .now { background: var(--own); }
.gauge.over .end, .gauge.over .now { background: var(--bad); }
.gauge b { position: absolute; top: 0; bottom: 0; width: 3px; margin-left: -3px; background: var(--ink); }
.legend { font-size: .8rem; color: var(--soft); }
.legend i { display: inline-block; width: .7em; height: .7em; border-radius: .15em; margin-left: .6em; }
.legend i:first-child { margin-left: 0; }
i.own { background: var(--own); }
i.hosted { background: var(--hosted); }
i.other { background: var(--other); }
.lanes li { margin-top: .35rem; }
.lanes span { font: .75rem ui-monospace, monospace; color: var(--soft); }
.lane { position: relative; height: 1rem; background: var(--track); border-radius: .2rem; overflow: hidden; }
.lane i { position: absolute; top: 0; bottom: 0; min-width: 3px; border-right: 1px solid var(--card); }
.lane i.failed { background: var(--bad); }
.axis { display: flex; justify-content: space-between; font-size: .75rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.days { display: flex; align-items: flex-end; gap: 2px; height: 6rem; margin-top: .4rem; border-bottom: 1px solid var(--line); }
.days li { flex: 1 1 0; min-width: 0; height: 100%; display: flex; flex-direction: column; justify-content: flex-end; }
.days i { display: block; }
.jobs li, .bill li { padding: .4rem 0; border-top: 1px solid var(--line); display: flex; flex-wrap: wrap; gap: 0 .6rem; }
.jobs li:first-child, .bill li:first-child { border-top: 0; }
.jobs .name { flex: 1 1 100%; font-weight: 600; }
.bill { margin-top: .5rem; font-variant-numeric: tabular-nums; }
.bill .name { flex: 1 1 auto; font-family: ui-monospace, monospace; font-size: .9rem; }
@media (min-width: 44rem) {
  .tiles { grid-template-columns: repeat(6, minmax(0, 1fr)); }
  .hosts { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .jobs .name { flex: 1 1 auto; }
}
@media print {
  body { background: none; }
  section, .tile { break-inside: avoid; }
  i, b { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;
