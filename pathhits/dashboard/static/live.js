// Keeps a page fresh: asks for the same page again and takes over what it marks as live. Nothing else moves.

const PAGE_EVERY = 30; // seconds

async function fetched(url) {
  const answer = await fetch(url, { headers: { Accept: "text/html" }, credentials: "same-origin" });
  if (!answer.ok) throw new Error(String(answer.status));
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// The tab that was chosen, and how far a table was pushed aside, are the reader's and stay.
function replace(element, other) {
  const chosen = [...element.querySelectorAll("input:checked")].map((one) => one.id);
  const pushed = [...element.querySelectorAll(".scroll")].map((one) => [one.scrollLeft, one.scrollTop]);
  element.replaceChildren(...other.childNodes);
  for (const id of chosen) {
    const input = document.getElementById(id);
    if (input) input.checked = true;
  }
  element.querySelectorAll(".scroll").forEach((one, place) => one.scrollTo(...(pushed[place] ?? [0, 0])));
}

function takeOver(fresh) {
  for (const element of document.querySelectorAll("[data-live]")) {
    const other = fresh.getElementById(element.id);
    // What somebody is in the middle of stays as it is.
    if (!other || element.contains(document.activeElement) || element.innerHTML === other.innerHTML) continue;
    replace(element, other);
    for (const { name, value } of other.attributes) element.setAttribute(name, value);
  }
  const plot = document.getElementById("plot");
  const data = fresh.getElementById("plot")?.dataset.points;
  if (plot && data && plot.dataset.points !== data) {
    plot.dataset.points = data;
    plot.querySelector(".drawing")?.replaceWith(fresh.querySelector("#plot .drawing"));
    document.querySelector(".as-table table")?.replaceWith(fresh.querySelector(".as-table table"));
    dispatchEvent(new CustomEvent("pathhits:points"));
  }
}

function every(seconds, work) {
  const milliseconds = Math.max(1, seconds || PAGE_EVERY) * 1000;
  let failures = 0;
  async function turn() {
    if (!document.hidden) {
      try {
        await work();
        failures = 0;
      } catch {
        failures += 1;
      }
    }
    setTimeout(turn, milliseconds * Math.min(2 ** failures, 16));
  }
  setTimeout(turn, milliseconds);
}

export function keepAlive() {
  const now = document.querySelector("#now[data-url]");
  if (now) {
    every(Number(now.dataset.every), async () => {
      const other = (await fetched(now.dataset.url)).getElementById("now");
      if (other && other.textContent !== now.textContent) now.replaceChildren(...other.childNodes);
    });
  }
  const first = document.getElementById("first");
  if (first) {
    every(Number(first.dataset.reload), async () => {
      if (!(await fetched(location.href)).getElementById("first")) location.reload();
    });
  }
  const live = document.querySelector("[data-live]");
  if (live) every(Number(live.dataset.live), async () => takeOver(await fetched(location.href)));
}
