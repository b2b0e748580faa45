
"use strict";
const POLL_MS = 2000, RESTING_POLL_MS = 10000, REST_AFTER_MS = 120000, TIMEOUT_MS = 8000, PER_PAGE = 25, MAX_OPEN = 10;
const STATES = {active: "Active", backing_off: "Backing off", needs_attention: "Needs attention", paused: "Paused"};
const STATE_ORDER = ["needs_attention", "backing_off", "paused", "active"];
const TYPES = {track_event: "Events", user_properties: "Users", account_properties: "Accounts"};
const REASONS = {
  refused: ["Refused", "Heap calls the item invalid. Mend it and replay it, or discard it."],
  too_large: ["Too large", "Heap takes no request with this item, even alone. Shorten it and replay it."],
  expired: ["Expired", "Heap kept failing until the item was past its maximum age. Replay it once Heap is well."],
  damaged: ["Damaged", "The disk gave back something else than was written. The original must be sent again."]};
const RANGES = {minutes: [900, "15 min"], hours: [21600, "6 h"]};
// Column: title, sort, class of the heading, whether larger values come first.
const COLUMNS = [
  ["Destination", "name", "left w-name", false], ["State", "attention", "left w-state", true], ["In", "in", "w-rate", true],
  ["Out", "out", "w-rate", true], ["In and out", null, "spark w-spark", true], ["Backlog", "backlog", "", true],
  ["Backlog over time", null, "spark w-spark", true], ["Allowance", "allowance", "w-allowance", true],
  ["Dead letters", "dead_letters", "w-dead", true]];
const SORTS = {attention: "Need for attention", name: "Name", in: "In", out: "Out", backlog: "Backlog", allowance: "Allowance used", dead_letters: "Dead letters"};

const byId = id => document.getElementById(id);
const whole = new Intl.NumberFormat("en-US", {maximumFractionDigits: 0});
const short = new Intl.NumberFormat("en-US", {notation: "compact", maximumFractionDigits: 1});

// Text is always inserted as text, never as markup.
function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}
function draw(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
// Unchanged text stays untouched, so that a screen reader is not disturbed.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const count = n => n < 1e6 ? whole.format(n) : short.format(n);
const plural = (n, one, many) => count(n) + " " + (n === 1 ? one : many);
function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; ++unit; }
  return (n < 10 && unit > 0 ? n.toFixed(1) : whole.format(n)) + " " + units[unit];
}
function twoParts(seconds, large, largeName, small, smallName) {
  const rest = Math.floor(seconds % large / small);
  return Math.floor(seconds / large) + " " + largeName + (rest > 0 ? " " + rest + " " + smallName : "");
}
function span(seconds) {
  if (seconds < 1) return "under 1 s";
  if (seconds < 60) return Math.round(seconds) + " s";
  if (seconds < 3600) return twoParts(seconds, 60, "min", 1, "s");
  if (seconds < 86400) return twoParts(seconds, 3600, "h", 60, "min");
  return twoParts(seconds, 86400, "d", 3600, "h");
}
const rate = n => n === null ? "…" : (n > 0 && n < 10 ? n.toFixed(n < 0.1 ? 2 : 1) : count(n)) + "/s";
const percent = n => n === null ? "unlimited" : count(n) + " %";
const clock = (ago, seconds) => new Date(Date.now() - 1000 * ago).toLocaleTimeString(
    [], {hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined});

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

// Charts. All share the time axis of the last history that came.
let axis = null;
function takeAxis(status) {
  const step = status.history.step_seconds, length = status.history.accepted.length;
  axis = {step, length, end: status.history.ended_seconds_ago, at: performance.now(), uptime: status.uptime_seconds,
          shown: Math.min(RANGES[chosen.range][0], Math.max(20, status.uptime_seconds))};
}
// Seconds since the end of a point's step.
const agoOf = i => Math.max(0, axis.end + (axis.length - 1 - i) * axis.step + (performance.now() - axis.at) / 1000);
const isKnown = values => i => values[i] !== null && values[i] !== undefined;

function niceTop(value) {
  value *= 1.04;  // so that the highest point does not touch the edge
  if (value <= 0.1) return 0.1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 5, 7.5, 10].find(n => n * power >= value) * power;
}

// A chart has `series` ({values, name}), draws them up to `top`, and shades the time without values. Of what was idle all the time
// there are none.
function drawChart(svg, series, top) {
  const idle = series[0].values === null;
  const width = svg.clientWidth || 300, height = svg.clientHeight || 40;
  const foot = height - 1, x = ago => width * (1 - Math.min(1, ago / axis.shown)), y = value => foot - (height - 3) * Math.min(1, value / top);
  svg.setAttribute("viewBox", "0 0 " + width + " " + height);
  const parts = [];
  const shade = (from, to) => {
    if (x(to) - x(from) < 1) return;
    parts.push(draw("rect", {class: "gap", x: x(from).toFixed(1), y: 0, width: (x(to) - x(from)).toFixed(1), height}));
  };
  const known = isKnown(series[0].values || []);
  let last = null;
  for (let i = 0; i < axis.length && !idle; ++i) {
    if (!known(i)) continue;
    if (last === null ? i > 0 : last < i - 1) shade(agoOf(last === null ? -1 : last), agoOf(i - 1));
    last = i;
  }
  const behind = axis.length > 0 ? agoOf(last === null ? -1 : last) : 0;
  if (behind > 2.5 * axis.step && !idle) shade(behind, 0);
  parts.push(draw("path", {class: "grid", d: "M0 " + (height - 0.5) + "H" + width}), draw("path", {class: "grid high", d: "M0 0.5H" + width}));
  for (const {values, name} of idle ? [] : series) {
    let line = "", area = "", from = null, before = null;
    const end = () => { if (from !== null) area += "L" + before + " " + foot + "L" + from + " " + foot + "Z"; };
    const has = isKnown(values);
    for (let i = 0; i < axis.length; ++i) {
      if (!has(i)) continue;
      // The newest value stands until the next one comes.
      const newest = i === axis.length - 1 && behind <= 2.5 * axis.step;
      const at = x(newest ? 0 : agoOf(i)).toFixed(1), height = y(values[i]).toFixed(1);
      if (i === 0 || !has(i - 1)) {
        end();
        from = x(agoOf(i - 1)).toFixed(1);
        line += "M" + from + " " + height;
        area += "M" + from + " " + height;
      }
      line += "L" + at + " " + height;
      area += "L" + at + " " + height;
      before = at;
    }
    end();
    parts.push(draw("path", {class: "area " + name, d: area}), draw("path", {class: "line " + name, d: line}));
  }
  svg.replaceChildren(...parts);
}

// What a chart of these values says, for those who do not see it.
function describe(values, show) {
  let most = null, known = 0, last = null;
  values.forEach((value, i) => {
    if (value === null) return;
    ++known;
    last = i;
    if (most === null || value > values[most]) most = i;
  });
  if (known === 0) return "nothing is known yet";
  return "now " + show(values[last]) + ", at most " + show(values[most]) + " at " + clock(agoOf(most));
}
function gapText(values) {
  const missing = values.filter(value => value === null).length;
  return missing === 0 ? "" : " Nothing is known of " + span(missing * axis.step) + " of it.";
}

const PANELS = [
  {label: "In and out", fields: ["accepted", "delivered"], names: ["in", "out"], show: rate},
  {label: "Backlog", fields: ["queued_items"], names: ["backlog"], show: n => plural(n, "item", "items")},
  {label: "Allowance used", fields: ["allowance_percent"], names: ["allowance"], show: percent}];
const valuesOf = (field, series) => field === "accepted" || field === "delivered" ?
    series[field].map(n => n === null ? null : n / axis.step) : series[field];

function newPanel(spec, what) {
  const panel = {spec, what, root: make("figure", "panel")};
  const caption = panel.root.appendChild(make("figcaption"));
  caption.append(make("span", "label", spec.label));
  panel.figures = spec.names.map(name => caption.appendChild(make("b", name === "in" ? "key" : name === "out" ? "key out" : "")));
  const plot = panel.root.appendChild(make("div", "plot"));
  panel.svg = plot.appendChild(draw("svg", {role: "img", tabindex: "0"}));
  panel.top = plot.appendChild(make("span", "top"));
  panel.top.setAttribute("aria-hidden", "true");
  panel.soon = plot.appendChild(make("span", "soon"));
  const times = panel.root.appendChild(make("div", "axis"));
  panel.begin = times.appendChild(make("span"));
  panel.reading = times.appendChild(make("output"));
  panel.end = times.appendChild(make("span", "", "now"));
  panel.at = null;
  panel.svg.addEventListener("pointermove", event => {
    const box = panel.svg.getBoundingClientRect(), ago = axis && axis.shown * (1 - (event.clientX - box.left) / box.width);
    if (axis) read(panel, Math.round(axis.length - 1 - (ago - agoOf(axis.length - 1)) / axis.step));
  });
  panel.svg.addEventListener("pointerleave", () => read(panel, null));
  panel.svg.addEventListener("blur", () => read(panel, null));
  panel.svg.addEventListener("keydown", event => {
    const move = {ArrowLeft: -1, ArrowRight: 1, Home: -1000, End: 1000}[event.key];
    if (!axis || move === undefined) return;
    event.preventDefault();
    read(panel, (panel.at === null ? axis.length : panel.at) + move);
  });
  return panel;
}
// Shows the values of one point: by pointer or by arrow keys.
function read(panel, at) {
  panel.at = at === null || !panel.series || panel.series[0].values === null || axis.length === 0 ? null : Math.max(0, Math.min(axis.length - 1, at));
  panel.svg.querySelectorAll(".guide").forEach(guide => guide.remove());
  if (panel.at === null) return say(panel.reading, "");
  const {names, show} = panel.spec, values = panel.series.map(({values}) => values[panel.at]);
  const words = values[0] === null ? "nothing is known" : values.map((n, i) => show(n) + (names.length > 1 ? " " + names[i] : "")).join(" · ");
  say(panel.reading, clock(agoOf(panel.at), axis.step < 60) + " · " + words);
  const x = panel.svg.clientWidth * (1 - Math.min(1, agoOf(panel.at) / axis.shown));
  panel.svg.append(draw("path", {class: "guide", d: "M" + x.toFixed(1) + " 0V" + panel.svg.clientHeight}));
}
// `series` is the history of a destination or of all; none: it was idle all the time.
function fillPanel(panel, series) {
  const {spec} = panel;
  panel.series = spec.fields.map((field, i) => ({name: spec.names[i], values: series ? valuesOf(field, series) : null}));
  const all = panel.series.flatMap(({values}) => values || []).filter(value => value !== null);
  const most = Math.max(0, ...all), top = spec.fields[0] === "allowance_percent" ? Math.max(100, most) : niceTop(spec.show === rate ? most : Math.max(1, most));
  drawChart(panel.svg, panel.series, top);
  say(panel.top, all.length === 0 ? "" : spec.show === rate ? rate(top) : spec.fields[0] === "allowance_percent" ? percent(top) : count(top));
  say(panel.soon, all.length > 0 ? "" : !series ? "Idle since the start" : axis.length === 0 ? "The first point comes within 10 s" :
      series.accepted.every(n => n === null) ? "Nothing is known of this time" : "No limit");
  say(panel.begin, axis.shown < axis.uptime ? RANGES[chosen.range][1] + " ago" : "start, " + clock(axis.uptime));
  const words = !series ? "idle since the start." :
      panel.series.map(({values, name}) => (panel.series.length > 1 ? name + " " : "") + describe(values, spec.show)).join("; ") + "." +
      gapText(panel.series[0].values) + " The arrow keys read single points.";
  panel.svg.setAttribute("aria-label", spec.label + ", " + panel.what + ", over the last " + span(axis.shown) + ": " + words);
  if (panel.at !== null) read(panel, panel.at);
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

function reasonRows(reasons) {
  return Object.entries(reasons).filter(([, n]) => n.kept > 0 || n.since_start > 0).map(([reason, n]) => {
    const row = make("tr"), [name, meaning] = REASONS[reason] || [reason, ""];
    const head = row.appendChild(make("th"));
    head.scope = "row";
    head.append(name, make("div", "faint", meaning));
    row.append(make("td", n.kept > 0 ? "alarming" : "", count(n.kept)), make("td", "", count(n.since_start)));
    return row;
  });
}
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

// The list. Rows are kept by name, so that focus and open details survive a refresh.
const rows = new Map();
function cell(row, label, className) {
  const td = row.appendChild(make("td", className));
  td.setAttribute("role", "cell");
  if (label) td.dataset.label = label;
  return td;
}
let rowIds = 0;
function newRow(name) {
  const item = {name, row: make("tr", "row"), panels: null};
  item.row.setAttribute("role", "row");
  const head = item.row.appendChild(make("th", "left"));
  head.scope = "row";
  head.setAttribute("role", "rowheader");
  item.button = head.appendChild(make("button", "name", name));
  item.button.type = "button";
  item.button.setAttribute("aria-expanded", "false");
  item.id = head.appendChild(make("div", "label under"));
  item.why = head.appendChild(make("p", "why"));
  item.state = cell(item.row, "", "left state-cell").appendChild(make("span"));
  item.in = cell(item.row, "In");
  item.out = cell(item.row, "Out");
  const flow = cell(item.row, "", "spark"), queue = cell(item.row, "Backlog", "half"), line = cell(item.row, "", "spark");
  item.flow = flow.appendChild(draw("svg", {role: "img"}));
  item.backlog = queue.appendChild(make("div"));
  item.forecast = queue.appendChild(make("div", "label"));
  item.line = line.appendChild(draw("svg", {role: "img"}));
  const allowance = cell(item.row, "Allowance", "half");
  item.allowance = allowance.appendChild(make("span"));
  item.limit = allowance.appendChild(make("span", "label"));
  item.track = allowance.appendChild(make("div", "track"));
  item.fill = item.track.appendChild(make("div", "fill"));
  item.dead = cell(item.row, "Dead letters", "dead-cell").appendChild(make("span"));
  item.button.addEventListener("click", () => toggle(item));
  return item;
}
function toggle(item) {
  if (opened.has(item.name)) {
    opened.delete(item.name);
  } else {
    if (opened.size >= MAX_OPEN) opened.delete([...opened][0]);
    opened.add(item.name);
  }
  for (const each of rows.values()) showDetails(each);
  refreshWithCharts();
}
function addTerm(list, label) {
  list.append(make("dt", "", label));
  return list.appendChild(make("dd"));
}
function newDetails(item) {
  item.details = make("tr", "details");
  item.details.id = "details-" + ++rowIds;
  item.details.setAttribute("role", "row");
  const td = cell(item.details, "");
  td.colSpan = COLUMNS.length;
  item.panels = PANELS.map(spec => newPanel(spec, item.name));
  const charts = td.appendChild(make("div", "charts small"));
  charts.append(...item.panels.map(panel => panel.root));
  const list = td.appendChild(make("dl"));
  item.terms = ["Requests in flight", "Waiting", "Last error"].map(label => addTerm(list, label));
  const tables = td.appendChild(make("div", "tables"));
  const table = (title, heads) => {
    const box = tables.appendChild(make("div"));
    box.append(make("h3", "", title));
    const made = box.appendChild(make("table", "plain")), head = made.appendChild(make("thead")).appendChild(make("tr"));
    made.setAttribute("aria-label", title + ", " + item.name);
    for (const text of heads) head.appendChild(make("th", "", text)).scope = "col";
    return made.appendChild(make("tbody"));
  };
  item.types = table("By type", ["Type", "Accepted", "Delivered", "Coalesced", "Queued"]);
  item.reasons = table("Dead letters by reason", ["Reason", "Kept", "Since start"]);
}
function showDetails(item) {
  const open = opened.has(item.name);
  item.button.setAttribute("aria-expanded", String(open));
  item.row.classList.toggle("is-open", open);
  if (open && !item.details) newDetails(item);
  if (!item.details) return;
  if (open && item.row.isConnected) item.row.after(item.details);
  if (open) item.button.setAttribute("aria-controls", item.details.id);
  else item.details.remove();
}

function forecastOf(d) {
  if (d.queued_items === 0) return "";
  if (d.state !== "active") return "held";
  if (d.drained_in_seconds === null) return "nothing moves";
  return "gone in " + span(d.drained_in_seconds);
}
function fillRow(item, d) {
  const state = d.state in STATES ? d.state : "";
  item.row.className = "row is-" + state + (opened.has(d.name) ? " is-open" : "");
  say(item.id, d.region.toUpperCase() + " · App ID " + d.masked_app_id);
  say(item.why, d.why);
  say(item.state, STATES[d.state] || d.state);
  item.state.className = "state " + state;
  say(item.in, rate(d.in_per_second));
  say(item.out, rate(d.out_per_second));
  say(item.backlog, d.queued_items === 0 ? "Empty" : plural(d.queued_items, "item", "items"));
  item.backlog.className = d.queued_items === 0 ? "faint" : "";
  say(item.forecast, forecastOf(d));
  const limited = d.allowance_limit !== null, used = limited ? d.allowance_used / d.allowance_limit : 0;
  say(item.allowance, limited ? percent(Math.floor(100 * used)) : "No limit");
  say(item.limit, limited ? " of " + count(d.allowance_limit) : "");
  item.track.hidden = !limited;
  item.fill.style.width = Math.min(100, 100 * used).toFixed(1) + "%";
  item.fill.className = used >= 0.95 ? "fill full" : "fill";
  say(item.dead, d.dead_letters.kept === 0 ? "None" : count(d.dead_letters.kept));
  item.dead.className = d.dead_letters.kept === 0 ? "faint" : "alarming";
  if (opened.has(d.name) && item.details && d.types) fillDetails(item, d);
}
function fillDetails(item, d) {
  say(item.panels[0].figures[0], rate(d.in_per_second) + " in");
  say(item.panels[0].figures[1], rate(d.out_per_second) + " out");
  say(item.panels[1].figures[0], d.queued_items === 0 ? "Empty" : plural(d.queued_items, "item", "items") + " · " + bytes(d.queued_bytes));
  say(item.panels[2].figures[0], d.allowance_limit === null ? count(d.allowance_used) + " in the last minute" :
      count(d.allowance_used) + " of " + count(d.allowance_limit) + " events/min");
  say(item.terms[0], d.in_flight_requests + " of at most " + d.in_flight_requests_limit);
  const waiting = [];
  if (d.queued_items > 0 && d.oldest_age_seconds !== null) waiting.push("the oldest item for " + span(d.oldest_age_seconds));
  if (d.deferred_items > 0) waiting.push(count(d.deferred_items) + " for their identity’s limit or order");
  if (d.isolated_items > 0) waiting.push(count(d.isolated_items) + " alone, because Heap fails at them");
  say(item.terms[1], waiting.length === 0 ? "Nothing" : waiting.join(" · "));
  say(item.terms[2], d.last_error === "" ? "None" :
      d.last_error + (d.last_error_age_seconds === null ? "" : " · " + span(d.last_error_age_seconds) + " ago"));
  item.types.replaceChildren(...d.types.map(type => {
    const row = make("tr"), head = row.appendChild(make("th", "", TYPES[type.type] || type.type));
    head.scope = "row";
    for (const n of [type.accepted, type.delivered, type.coalesced, type.queued_items]) row.append(make("td", "", count(n)));
    return row;
  }));
  const reasons = reasonRows(d.dead_letters.by_reason);
  item.reasons.parentElement.parentElement.hidden = reasons.length === 0;
  item.reasons.replaceChildren(...reasons);
}
function fillRowHistory(item, series) {
  for (const [svg, fields, names, show, label] of [[item.flow, ["accepted", "delivered"], ["in", "out"], rate, "In and out"],
                                                   [item.line, ["queued_items"], ["backlog"], count, "Backlog"]]) {
    svg.setAttribute("aria-label", label + ": " + (series ? fields.map((field, i) =>
        (fields.length > 1 ? names[i] + " " : "") + describe(valuesOf(field, series), show)).join("; ") : "idle since the start"));
    if (svg.clientWidth === 0) continue;  // not shown on a narrow screen
    const drawn = fields.map((field, i) => ({name: names[i], values: series ? valuesOf(field, series) : null}));
    drawChart(svg, drawn, niceTop(Math.max(show === count ? 1 : 0, ...drawn.flatMap(({values}) => values || []))));
  }
  if (opened.has(item.name) && item.panels) for (const panel of item.panels) fillPanel(panel, series);
}

// Puts rows into this order without moving the one that has the focus.
function arrange(list, wanted) {
  const fixed = Math.max(0, wanted.findIndex(element => element.contains(document.activeElement)));
  if (wanted.length > 0 && wanted[fixed].parentElement !== list) list.append(wanted[fixed]);
  for (let i = fixed - 1; i >= 0; --i) if (wanted[i + 1].previousElementSibling !== wanted[i]) wanted[i + 1].before(wanted[i]);
  for (let i = fixed + 1; i < wanted.length; ++i) if (wanted[i - 1].nextElementSibling !== wanted[i]) wanted[i - 1].after(wanted[i]);
  for (const element of [...list.children]) if (!wanted.includes(element)) element.remove();
}
function fillList(status) {
  const shown = new Set(status.destinations.map(d => d.name)), wanted = [];
  const held = byId("rows").contains(document.activeElement);
  for (const d of status.destinations) {
    if (!rows.has(d.name)) rows.set(d.name, newRow(d.name));
    const item = rows.get(d.name);
    showDetails(item);
    fillRow(item, d);
    wanted.push(item.row);
    if (opened.has(d.name)) wanted.push(item.details);
  }
  arrange(byId("rows"), wanted);
  for (const name of [...rows.keys()]) if (!shown.has(name)) rows.delete(name);
  // The row that had the focus went to another page.
  if (held && document.activeElement === document.body) byId("list").focus({preventScroll: true});
  if (status.history) for (const d of status.destinations) fillRowHistory(rows.get(d.name), d.history);
  const filtered = chosen.search !== "" || chosen.state !== "";
  say(byId("matching"), filtered ? count(status.matching) + " of " + count(status.destinations_total) : count(status.destinations_total));
  byId("table").hidden = status.matching === 0;
  byId("nothing").hidden = status.matching > 0;
  say(byId("nothing"), filtered ? "No destination matches." : "No destination is configured.");
  byId("pages").hidden = status.pages === 1;
  chosen.page = status.page;
  say(byId("page"), "Page " + count(status.page) + " of " + count(status.pages));
  byId("previous").disabled = status.page === 1;
  byId("next").disabled = status.page === status.pages;
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
function show(status) {
  lastStatus = status;
  say(byId("about"), status.version + " · up " + span(status.uptime_seconds));
  say(byId("spool"), !status.spool.healthy ?
      "A write to the spool failed. Nothing is accepted until the server is restarted." :
      status.spool.disk_nearly_full ? "The disk is nearly full. New items are rejected; the backlog still drains." : "");
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
    if (status.standby) throw new Error("standby");  // it gave the spool to another server
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
