
// Charts. All share the time axis of the last history that came.
const RANGES = {minutes: [900, "15 min"], hours: [21600, "6 h"]};
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

