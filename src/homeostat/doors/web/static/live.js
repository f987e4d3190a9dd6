// Keeps a page up to date: one stream of events, and the page's own HTML fetched again when one
// of them concerns it. Without this file every page still works; it is then as of its loading.

const region = document.querySelector("[data-live]");
const lamp = document.querySelector(".live");
const PAUSE_MS = 400;
const AGE_MS = 10000;
const FOCUSED = "a, button, summary, [tabindex]";

let pending = null;
let stale = false;

async function refresh() {
  pending = null;
  if (document.hidden) {
    stale = true;
    return;
  }
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = fresh.querySelector("[data-live]");
  if (next === null || next.innerHTML === region.innerHTML) return;
  const open = [...region.querySelectorAll("details[open][id]")].map((one) => one.id);
  const scrolled = [...region.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
  const focused = place(document.activeElement);
  region.replaceChildren(...next.childNodes);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  [...region.querySelectorAll(".scroll")].forEach((one, i) => {
    one.scrollLeft = scrolled[i] ?? 0;
  });
  if (focused !== null) find(focused)?.focus({ preventScroll: true });
}

// Where the focus is, in words that hold after the page's HTML was replaced: an id, or an
// address and which of the links to it.

function place(one) {
  if (one === null || !region.contains(one)) return null;
  if (one.id) return { id: one.id };
  const href = one.getAttribute("href");
  const choice = href === null ? FOCUSED : `a[href="${CSS.escape(href)}"]`;
  return { choice, n: [...region.querySelectorAll(choice)].indexOf(one) };
}

function find({ id, choice, n }) {
  return id ? document.getElementById(id) : region.querySelectorAll(choice)[n];
}

// The same rule as `ago` in rendering.py.
function ago(at) {
  const past = (Date.now() - at) / 1000;
  const seconds = Math.abs(past);
  if (seconds < 10) return "just now";
  let told = `${Math.floor(seconds)} s`;
  for (const [unit, length] of [["min", 60], ["h", 3600], ["d", 86400]]) {
    if (seconds >= 1.5 * length) told = `${Math.floor(seconds / length + 0.5)} ${unit}`;
  }
  return past > 0 ? `${told} ago` : `in ${told}`;
}

function age() {
  for (const one of document.querySelectorAll(".ago, .since")) {
    one.textContent = ago(Date.parse(one.closest("time").dateTime));
  }
}

function concerns(kind) {
  const wanted = region.dataset.live.split(" ");
  return wanted.includes("*") || wanted.some((prefix) => kind.startsWith(prefix));
}

function show(on) {
  lamp.dataset.on = String(on);
  lamp.textContent = on ? "live" : "not connected";
}

setInterval(age, AGE_MS);

if (region !== null && lamp !== null) {
  const stream = new EventSource("/api/events/stream");
  stream.addEventListener("open", () => show(true));
  stream.addEventListener("error", () => show(false));
  stream.addEventListener("change", (message) => {
    if (!concerns(JSON.parse(message.data).kind) || pending !== null) return;
    pending = setTimeout(refresh, PAUSE_MS);
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && stale) {
      stale = false;
      refresh();
    }
  });
  addEventListener("pagehide", () => stream.close());
}
