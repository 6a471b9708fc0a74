// Puts a chart with cursor, tooltip and zoom in the place of the server's drawing, in the same box and proportions.

const HEIGHT = 280;
const TOP = 20;
const BOTTOM = 32;
const LEFT = 44; // px for the labels beside the axis
const LABEL = 72; // px that a label below the axis may take

const number = new Intl.NumberFormat("en-US");

function duration(seconds) {
  const whole = Math.round(seconds);
  const two = (n) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  return `${number.format(Math.floor(whole / 3600))}h ${two(Math.floor((whole % 3600) / 60))}m`;
}

const written = {
  count: (value) => number.format(value),
  share: (value) => `${Math.round(value * 100)}%`,
  seconds: duration,
};

function colours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return { accent: read("--accent"), before: read("--before"), grid: read("--grid"), text: read("--secondary") };
}

function seriesOf(data) {
  const last = data.values.findLastIndex((value) => value !== null);
  const dashed = data.running && last > 0;
  const over = data.values.map((value, place) => (dashed && place === last ? null : value));
  const running = data.values.map((value, place) => (dashed && place >= last - 1 ? value : null));
  return [data.names.map((_, place) => place), data.before ?? data.names.map(() => null), over, running];
}

// The cursor stands on a step, not between two.
function snapped(u, left, top) {
  return [left < 0 ? left : u.valToPos(u.posToIdx(left), "x"), top];
}

function paint(u, data, colour) {
  const { ctx } = u;
  const ratio = devicePixelRatio;
  const { left, top, width, height } = u.bbox;
  ctx.save();
  ctx.font = `${12 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
  ctx.lineWidth = ratio;
  ctx.fillStyle = colour.text;
  ctx.textAlign = "left";
  for (const [at, text] of data.rows) {
    const y = Math.round(top + (height * at) / 100) + ratio / 2;
    ctx.strokeStyle = colour.grid;
    ctx.beginPath();
    ctx.moveTo(left, y);
    ctx.lineTo(left + width, y);
    ctx.stroke();
    ctx.fillText(text, left - LEFT * ratio, y + 4 * ratio);
  }
  const first = Math.max(0, Math.ceil(u.scales.x.min));
  const final = Math.min(data.names.length - 1, Math.floor(u.scales.x.max));
  const every = Math.max(1, Math.ceil((final - first + 1) / Math.max(1, Math.min(7, Math.floor(width / ratio / LABEL)))));
  for (let place = first; place <= final; place += every) {
    const x = u.valToPos(place, "x", true);
    ctx.textAlign = left + width - x < 20 * ratio ? "right" : "center";
    ctx.fillText(data.labels[place], x, top + height + 24 * ratio);
  }
  ctx.restore();
}

function says(data, place) {
  const value = data.values[place];
  const lines = [[data.names[place], value === null ? "–" : written[data.unit](value)]];
  if (data.before?.[place] !== undefined && data.before[place] !== null) {
    lines.push([data.beforeNames[place], written[data.unit](data.before[place])]);
  }
  return lines;
}

export function draw(box, UPlot) {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  const reset = document.createElement("button");
  reset.className = "button quietly reset";
  reset.type = "button";
  reset.textContent = "Whole period";
  reset.hidden = true;
  const says_ = document.createElement("p");
  says_.className = "sr";
  says_.setAttribute("aria-live", "polite");
  let plot;
  let data;

  function show(u) {
    const place = u.cursor.idx;
    tip.hidden = place === null || place === undefined || u.cursor.left < 0;
    if (tip.hidden) return;
    tip.replaceChildren(
      ...says(data, place).map(([name, value]) => {
        const line = document.createElement("p");
        const strong = document.createElement("strong");
        strong.textContent = value;
        line.append(strong, ` ${name}`);
        return line;
      }),
    );
    const x = LEFT + u.valToPos(place, "x");
    const wide = tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(x + 12, box.clientWidth - wide))}px`;
    if (x + 12 + wide > box.clientWidth) tip.style.left = `${Math.max(0, x - 12 - wide)}px`;
  }

  // Made anew, for another theme or newer numbers, it shows the same part of the period, and the cursor stays.
  function make() {
    const first = data?.names[0];
    const part = plot && !reset.hidden ? { min: plot.scales.x.min, max: plot.scales.x.max } : null;
    const cursor = plot && plot.cursor.left >= 0 ? { left: plot.cursor.left, top: plot.cursor.top } : null;
    data = JSON.parse(box.dataset.points);
    const colour = colours();
    const values = seriesOf(data);
    const alone = data.names.length === 1;
    const count = data.names.length;
    plot?.destroy();
    plot = new UPlot(
      {
        width: box.clientWidth,
        height: HEIGHT,
        padding: [TOP, 0, BOTTOM, LEFT],
        legend: { show: false },
        axes: [{ show: false }, { show: false }],
        scales: { x: { time: false, range: (u, min, max) => (alone ? [-1, 1] : [min, max]) }, y: { range: () => [0, data.top] } },
        cursor: { y: false, move: snapped, drag: { x: count > 2, y: false, dist: 4 }, points: { size: 8 } },
        series: [
          {},
          { stroke: colour.before, width: 1, points: { show: false } },
          { stroke: colour.accent, width: 2, fill: `${colour.accent}14`, points: { show: alone, size: 6, fill: colour.accent } },
          { stroke: colour.accent, width: 2, dash: [4, 4], points: { show: false } },
        ],
        hooks: {
          drawClear: [(u) => paint(u, data, colour)],
          setCursor: [show],
          setScale: [
            (u, key) => {
              if (key === "x") reset.hidden = alone || (u.scales.x.min <= 0 && u.scales.x.max >= count - 1);
            },
          ],
        },
      },
      values,
      box,
    );
    box.append(tip, reset, says_);
    if (part && data.names[0] === first && part.max < count) plot.setScale("x", part);
    // After uPlot has taken over the scale, which it does in a microtask.
    if (cursor) queueMicrotask(() => plot.setCursor(cursor));
  }

  function width() {
    if (plot && box.clientWidth) plot.setSize({ width: box.clientWidth, height: HEIGHT });
  }

  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Chart: left and right arrows read it out, the table below has the same numbers");
  reset.addEventListener("click", () => {
    plot.setScale("x", { min: 0, max: data.names.length - 1 });
    box.focus();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    event.preventDefault();
    const from = plot.cursor.idx ?? (event.key === "ArrowRight" ? -1 : data.names.length);
    const place = Math.max(0, Math.min(data.names.length - 1, from + (event.key === "ArrowRight" ? 1 : -1)));
    plot.setCursor({ left: plot.valToPos(place, "x"), top: 20 });
    says_.textContent = says(data, place).map(([name, value]) => `${name}: ${value}`).join("; ");
  });
  make();
  new ResizeObserver(width).observe(box);
  addEventListener("pathhits:theme", make);
  addEventListener("pathhits:points", make);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", make);
  box.dataset.drawn = "";
}
