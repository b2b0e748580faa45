
// The page: what is chosen, what the server is asked, and what is shown of all destinations.
const POLL_MS = 2000, RESTING_POLL_MS = 10000, REST_AFTER_MS = 120000, TIMEOUT_MS = 8000, PER_PAGE = 25;
const STATE_ORDER = ["needs_attention", "backing_off", "paused", "active"];
const SORTS = {attention: "Need for attention", name: "Name", in: "In", out: "Out", backlog: "Backlog", allowance: "Allowance used", dead_letters: "Dead letters"};

// What the person chose; kept in the fragment of the address.
const chosen = {search: "", state: "", sort: "attention", reversed: false, page: 1, range: "minutes"};
const opened = new Set();
function readFragment() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  chosen.search = fragment.get("search") || "";
  chosen.state = fragment.get("state") in STATES ? fragment.get("state") : "";
  chosen.sort = fragment.get("sort") in SORTS ? fragment.get("sort") : "attention";
  chosen.reversed = fragment.has("reversed");
  chosen.page = Math.max(1, parseInt(fragment.get("page"), 10) || 1);
  chosen.range = fragment.get("range") in RANGES ? fragment.get("range") : "minutes";
}
function writeFragment() {
  const fragment = new URLSearchParams();
  if (chosen.search) fragment.set("search", chosen.search);
  if (chosen.state) fragment.set("state", chosen.state);
  if (chosen.sort !== "attention") fragment.set("sort", chosen.sort);
  if (chosen.reversed) fragment.set("reversed", "");
  if (chosen.page > 1) fragment.set("page", chosen.page);
  if (chosen.range !== "minutes") fragment.set("range", chosen.range);
  history.replaceState(null, "", fragment.size === 0 ? location.pathname + location.search : "#" + fragment);
}

const panels = PANELS.map(spec => newPanel(spec, "all destinations"));
panels[2].spec = {...PANELS[2], label: "Allowance used, fullest destination"};
panels[2].root.querySelector(".label").textContent = panels[2].spec.label;
byId("charts").append(...panels.map(panel => panel.root));

function fillTotals(status) {
  const totals = status.totals, fullest = totals.fullest_allowance;
  say(panels[0].figures[0], rate(totals.in_per_second) + " in");
  say(panels[0].figures[1], rate(totals.out_per_second) + " out");
  const figure = (element, text, more) => {
    if (element.dataset.text === text + more) return;
    element.dataset.text = text + more;
    element.replaceChildren(text + " ", make("small", "", more));
  };
  figure(panels[1].figures[0], count(totals.queued_items), totals.queued_items === 0 ? "items" : (totals.queued_items === 1 ? "item" : "items") + " · " + bytes(totals.queued_bytes));
  figure(panels[2].figures[0], fullest === null ? "No limits" : percent(Math.floor(100 * fullest.used / fullest.limit)),
         fullest === null ? "" : fullest.used === 0 ? "none used" : fullest.destination);
}
function fillHistory(status) {
  takeAxis(status);
  for (const panel of panels) fillPanel(panel, status.history);
  const from = axis.shown < axis.uptime ? "" : "The charts begin with the start of this server, " + span(axis.uptime) + " ago; nothing is known from before.";
  const gaps = status.history.accepted.includes(null) ? "Shaded: the server was away or too busy to take a sample." : "";
  say(byId("since"), [from, gaps].filter(text => text !== "").join(" "));
  fillValues(status.history);
}
// The table is made only while it is open.
let lastHistory = null;
function fillValues(series) {
  lastHistory = series;
  if (!byId("values").open) return;
  const rows = series.accepted.map((accepted, i) => {
    const row = make("tr"), head = make("th", "", clock(agoOf(i), axis.step < 60));
    head.scope = "row";
    row.append(head);
    const allowance = series.allowance_percent[i];
    const cells = accepted === null ? ["unknown", "", "", ""] :
        [rate(accepted / axis.step), rate(series.delivered[i] / axis.step), count(series.queued_items[i]), percent(allowance)];
    row.append(...cells.map(text => make("td", "", text)));
    return row;
  });
  byId("value-rows").replaceChildren(...rows.reverse());
}
byId("values").addEventListener("toggle", () => lastHistory && fillValues(lastHistory));

let lettersShown = "";
function fillLetters(letters) {
  const rows = reasonRows(letters.by_reason), none = rows.length === 0;
  say(byId("letters-sum"), none ? "None" : letters.kept === 0 ? "None is kept now" : plural(letters.kept, "item is", "items are") + " kept, " + bytes(letters.bytes));
  byId("letters-card").hidden = none;
  byId("letters-sort").hidden = letters.kept === 0;
  const shown = JSON.stringify(letters.by_reason);
  if (shown === lettersShown) return;
  lettersShown = shown;
  byId("letters-rows").replaceChildren(...rows);
}

// Summarizes the page in one sentence.
function fillVerdict(status) {
  const states = status.totals.states;
  const words = {needs_attention: n => n === 1 ? "1 needs attention" : count(n) + " need attention",
                 backing_off: n => count(n) + " backing off", paused: n => count(n) + " paused"};
  const troubles = Object.keys(words).filter(state => states[state] > 0).map(state => words[state](states[state]));
  say(byId("verdict"), troubles.length > 0 ? troubles.join(", ") + "." :
      status.destinations_total > 0 ? "Everything is being delivered normally." : "");
  document.title = (!status.spool.healthy || states.needs_attention > 0 ? "(!) " : "") + "Heap Sync";
  for (const [state, label] of stateLabels) say(label, state === "" ? "All " + count(status.destinations_total) : STATES[state] + " " + count(states[state]));
}

// The controls.
const stateLabels = new Map();
for (const state of ["", ...STATE_ORDER]) {
  const label = byId("states").appendChild(make("label")), radio = label.appendChild(make("input"));
  radio.type = "radio";
  radio.name = "state";
  radio.value = state;
  stateLabels.set(state, label.appendChild(make("span", "", state === "" ? "All" : STATES[state])));
}
for (const [sort, title] of Object.entries(SORTS)) {
  byId("sort").appendChild(make("option", "", "Sort by: " + title)).value = sort;
}
const heads = new Map();
for (const [title, sort, className, descending] of COLUMNS) {
  const head = byId("heads").appendChild(make("th", className));
  head.scope = "col";
  head.setAttribute("role", "columnheader");
  if (sort === null) {
    head.append(make("span", title.endsWith("time") ? "hidden" : "", title));
    continue;
  }
  const button = head.appendChild(make("button", "", title));
  button.type = "button";
  button.addEventListener("click", () => choose({sort, reversed: chosen.sort === sort && !chosen.reversed, page: 1}));
  heads.set(sort, {head, descending});
}
function showChosen() {
  for (const [sort, {head, descending}] of heads) {
    if (sort === chosen.sort) head.setAttribute("aria-sort", descending !== chosen.reversed ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  byId("sort").value = chosen.sort;
  if (byId("search").value.trim() !== chosen.search) byId("search").value = chosen.search;
  for (const radio of document.querySelectorAll("#states input")) radio.checked = radio.value === chosen.state;
  for (const radio of document.querySelectorAll("#range input")) radio.checked = radio.value === chosen.range;
}
function choose(change) {
  Object.assign(chosen, change);
  showChosen();
  writeFragment();
  refresh();
}
let typing = 0;
byId("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => choose({search: byId("search").value.trim(), page: 1}), 200);
});
byId("filters").addEventListener("submit", event => event.preventDefault());
byId("states").addEventListener("change", event => choose({state: event.target.value, page: 1}));
byId("range").addEventListener("change", event => choose({range: event.target.value}));
byId("sort").addEventListener("change", event => choose({sort: event.target.value, reversed: false, page: 1}));
byId("letters-sort").addEventListener("click", () => {
  choose({sort: "dead_letters", reversed: false, state: "", search: "", page: 1});
  byId("list").focus();
});
function turnTo(page, button) {
  choose({page});
  byId("list").scrollIntoView({block: "start"});
  button.focus({preventScroll: true});
}
byId("previous").addEventListener("click", event => turnTo(chosen.page - 1, event.target));
byId("next").addEventListener("click", event => turnTo(chosen.page + 1, event.target));
addEventListener("hashchange", () => { readFragment(); showChosen(); refresh(); });

// Asking the server: often while someone works with the page, seldom while it is left alone, not at all while it is hidden.
let answeredAt = null, dataAge = 0, timer = 0, asking = null, touchedAt = Date.now(), historyOf = "", historyAt = -Infinity, lastStatus = null;
for (const type of ["pointerdown", "pointermove", "keydown", "wheel", "focus"]) {
  addEventListener(type, () => {
    const rested = interval() > POLL_MS;
    touchedAt = Date.now();
    if (rested && !document.hidden) refresh();
  }, {passive: true, capture: true});
}
const interval = () => Date.now() - touchedAt > REST_AFTER_MS ? RESTING_POLL_MS : POLL_MS;

function showFreshness() {
  if (document.hidden) return;
  const silent = answeredAt === null ? 0 : (Date.now() - answeredAt) / 1000, patience = 4 + interval() / 1000;
  const late = silent > patience || dataAge > 6;
  byId("freshness").className = late ? "late" : "";
  if (answeredAt !== null) say(byId("freshness"), late ? "Numbers are old" : "Live");
  say(byId("silence"), silent > patience ? "The server has not answered for " + span(silent) + ". These are its last numbers." :
      dataAge > 6 ? "The server is too busy to update its numbers; they are " + span(dataAge) + " old." : "");
}
const shownNames = status => chosen.range + "\n" + status.destinations.map(d => d.name).join("\n");
function question() {
  const query = new URLSearchParams({detail: "brief", per_page: PER_PAGE, page: chosen.page, sort: chosen.sort});
  if (chosen.search) query.set("search", chosen.search);
  if (chosen.state) query.set("state", chosen.state);
  if (chosen.reversed) query.set("order", "reversed");
  for (const name of opened) query.append("open", name);
  // Charts are long and change once in ten seconds.
  const due = performance.now() - historyAt > 9500 || !lastStatus || shownNames(lastStatus) !== historyOf;
  if (due) query.set("history", chosen.range);
  return query;
}
function shareOf(cluster) {
  if (!cluster) return "";
  const own = cluster.servers.find(server => server.self);
  return " · delivers " + (own ? own.shards : 0) + " of " + cluster.shards + " shards, one of " + cluster.servers.length + " servers";
}
// The databases that are away, if others are not.
function awayOf(cluster) {
  if (!cluster || cluster.databases.length < 2) return "";
  const away = cluster.databases.map((database, i) => database.usable ? "" : "Database " + (i + 1) + " (" + database.where +
    ") of the spool is away; its destinations wait, and refuse new items. ").join("");
  return away.trim();
}
function show(status) {
  lastStatus = status;
  say(byId("about"), status.version + " · up " + span(status.uptime_seconds) + shareOf(status.cluster));
  say(byId("spool"), !status.spool.healthy ?
      "A write to the spool failed. Nothing is accepted until the server is restarted." :
      status.spool.disk_nearly_full ? "The disk is nearly full. New items are rejected; the backlog still drains." : "");
  say(byId("owner"), status.not_delivering || awayOf(status.cluster));
  fillTotals(status);
  fillVerdict(status);
  fillLetters(status.totals.dead_letters);
  if (status.history) {
    historyOf = shownNames(status);
    historyAt = performance.now();
    fillHistory(status);
  }
  fillList(status);
}
async function poll() {
  const started = Date.now(), control = new AbortController();
  asking = control;
  const limit = setTimeout(() => control.abort(), TIMEOUT_MS);
  let again = interval();
  try {
    const answer = await fetch("statusz.json?" + question(), {cache: "no-store", signal: control.signal});
    if (!answer.ok) throw new Error("HTTP " + answer.status);
    const status = await answer.json();
    if (asking !== control) return;  // something else was chosen meanwhile
    answeredAt = Date.now();
    dataAge = status.snapshot_age_seconds === null ? 0 : status.snapshot_age_seconds;
    show(status);
    // Rows that are new here have no charts yet.
    if (shownNames(status) !== historyOf) again = 0;
  } catch (error) {
    if (asking !== control) return;
    if (answeredAt === null) answeredAt = started;
  } finally {
    clearTimeout(limit);
  }
  asking = null;
  showFreshness();
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(poll, again);
}
function refresh() {
  if (asking) asking.abort();
  clearTimeout(timer);
  poll();
}
function refreshWithCharts() {
  historyAt = -Infinity;
  refresh();
}
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (document.hidden) return;
  if (answeredAt !== null) answeredAt = Date.now();
  touchedAt = Date.now();
  refresh();
});
let resizing = 0;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(refreshWithCharts, 150);
});
setInterval(showFreshness, 1000);
readFragment();
showChosen();
poll();
