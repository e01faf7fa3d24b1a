import assert from "node:assert/strict";
import { fleetStatus } from "../../../components/status/model";
import { escape, renderPage } from "../../../components/status/page";
import { hostile } from "./hostile";
import { reading } from "./statuses";

describe("renderPage", () => {
  const page = renderPage(fleetStatus(hostile()));

  it("needs nothing else", () => {
    assert.doesNotMatch(page, /<script/);
    assert.doesNotMatch(page, /\s(src|srcset|action|on[a-z]+)=["']/);
    assert.deepEqual(page.match(/\shref="[^"]*"/g), [' href="data:,"']);
    assert.doesNotMatch(page, /url\(|@import|https?:/);
    assert.match(page, /content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"/);
  });

  it("knows no element and no attribute that somebody else has named", () => {
    const elements = new Set([...page.matchAll(/<([a-z][a-z0-9]*)/g)].map(([, name]) => name));
    for (const name of ["script", "img", "svg", "iframe", "object"]) assert.ok(!elements.has(name));
    assert.equal(page.match(/<style>/g)?.length, 1);
    assert.equal(page.match(/<\/title>/g)?.length, 1);
    assert.ok(page.includes("&lt;script&gt;document.title=&quot;owned&quot;&lt;/script&gt;"));
    assert.ok(page.includes("&amp;lt;b&amp;gt; &amp;amp; co"));
  });

  it("shows pools, hosts and slots, the gauge and where jobs ran", () => {
    const small = renderPage(fleetStatus(reading({ settings: hostile().settings })));
    for (const part of [
      "<h3>Pool arm64</h3>",
      '<h4 class="good">dev-arm64-1-1</h4>\n<p class="quiet">cax21 · fsn1</p>',
      '<li class="slot work"><b>1</b> working</li>\n<li class="slot good"><b>2</b> listening</li>',
      '<div class="bar "><i style="width:22.50%"></i></div>\n<p class="quiet">62.0 GB of 80.0 GB free, cache 3.1 GB</p>',
      '<p class="quiet">0.05 so far · 1.86 by the end of the month · budget 60.00 EUR net</p>',
      "<li><span>dev-arm64-1-1-1</span>",
      '<li title="2026-11-26: 3 own, 0 hosted"><i class="hosted" style="height:0.00%"></i><i class="own" style="height:100.00%"></i></li>',
    ]) {
      assert.ok(small.includes(part), part);
    }
  });
});

describe("escape", () => {
  for (const [text, escaped] of [
    [
      `<a href="x" title='y'>&</a>`,
      "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;&lt;/a&gt;",
    ],
    ["\u202eabc\u0000", "\uFFFDabc\uFFFD"],
    ["Grüße 構築", "Grüße 構築"],
  ] as const) {
    it(`of ${JSON.stringify(text)}`, () => assert.equal(escape(text), escaped));
  }
});
