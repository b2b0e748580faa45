
// The list of destinations, and dead letters by reason.
const MAX_OPEN = 10;
const STATES = {active: "Active", backing_off: "Backing off", needs_attention: "Needs attention", paused: "Paused"};
const TYPES = {track_event: "Events", user_properties: "Users", account_properties: "Accounts"};
const REASONS = {
  refused: ["Refused", "Heap calls the item invalid. Mend it and replay it, or discard it."],
  too_large: ["Too large", "Heap takes no request with this item, even alone. Shorten it and replay it."],
  expired: ["Expired", "Heap kept failing until the item was past its maximum age. Replay it once Heap is well."],
  damaged: ["Damaged", "The disk gave back something else than was written. The original must be sent again."]};
// Column: title, sort, class of the heading, whether larger values come first.
const COLUMNS = [
  ["Destination", "name", "left w-name", false], ["State", "attention", "left w-state", true], ["In", "in", "w-rate", true],
  ["Out", "out", "w-rate", true], ["In and out", null, "spark w-spark", true], ["Backlog", "backlog", "", true],
  ["Backlog over time", null, "spark w-spark", true], ["Allowance", "allowance", "w-allowance", true],
  ["Dead letters", "dead_letters", "w-dead", true]];

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

