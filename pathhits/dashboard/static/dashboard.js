// What the pages gain with script. Each of them works without it.

import { keepAlive } from "./live.js";
import { listenToKeys } from "./keys.js";

const root = document.documentElement;
const home = root.dataset.home.replace(/\/$/, "") || "/";

function remember(name, value) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${name}=${value}; Path=${home}; Max-Age=${value ? 365 * 86400 : 0}; SameSite=Lax${secure}`;
}

// The theme changes at once; without script the form does it.
for (const form of document.querySelectorAll("form.theme")) {
  form.addEventListener("submit", (event) => {
    const chosen = event.submitter?.value;
    if (!chosen) return;
    event.preventDefault();
    root.dataset.theme = chosen;
    remember("pathhits_theme", chosen);
    form.querySelector(`.to-${chosen === "dark" ? "light" : "dark"}`).focus();
    dispatchEvent(new CustomEvent("pathhits:theme"));
  });
}

// The server learns the reader's zone once, and shows it from then on wherever the URL names none.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && /^[A-Za-z0-9_+/-]+$/.test(zone) && !document.cookie.split("; ").includes(`pathhits_tz=${zone}`)) {
  remember("pathhits_tz", zone);
  const kept = document.cookie.includes("pathhits_tz=");
  const differs = document.querySelector("[data-tz]") && document.querySelector("[data-tz]").dataset.tz !== zone;
  if (kept && differs && !new URLSearchParams(location.search).has("tz")) location.reload();
}

const zones = document.getElementById("zones");
if (zones && Intl.supportedValuesOf) {
  document.querySelector("[list=zones]").addEventListener("focus", () => {
    zones.replaceChildren(...["UTC", ...Intl.supportedValuesOf("timeZone")].map((name) => new Option(name, name)));
  }, { once: true });
}

// A menu closes when one clicks beside it or presses Escape.
addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

const plot = document.getElementById("plot");
if (plot?.dataset.uplot) {
  import(plot.dataset.uplot).then(async (module) => {
    const { draw } = await import("./chart.js");
    draw(plot, module.default);
  });
}

keepAlive();
listenToKeys();
