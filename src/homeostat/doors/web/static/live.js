// Keeps a page up to date: one stream of events, and the page's own HTML fetched again when one
// of them concerns it. Without this file every page still works; it is then as of its loading.

const region = document.querySelector("[data-live]");
const lamp = document.querySelector(".live");
const PAUSE_MS = 400;

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
  const focused = document.activeElement?.id;
  region.replaceChildren(...next.childNodes);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function concerns(kind) {
  const wanted = region.dataset.live.split(" ");
  return wanted.includes("*") || wanted.some((prefix) => kind.startsWith(prefix));
}

function show(on) {
  lamp.dataset.on = String(on);
  lamp.textContent = on ? "live" : "not connected";
}

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
