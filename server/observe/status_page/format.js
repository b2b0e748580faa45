
"use strict";
// Elements and texts.
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
