// Draws the data island of a report with uPlot: charts and bands over one axis, with zoom, cursor and keys in common.
// Runs offline from the page alone. When it fails, the picture that needs no script stays in its place.
(function () {
  "use strict";
  const data = JSON.parse(document.getElementById("run-data").textContent);
  const page = document.querySelector("main.drill");
  const root = document.getElementById("charts");
  const readout = document.getElementById("readout");
  const now = document.getElementById("now");
  const NARROW = 700, GUTTER = 230, SLIM = 50, GROUPS = {
    drill: "the drill", clients: "what clients saw", names: "what the name said", signals: "the system, as polled",
    steps: "the steps of the recovery, as judged", stamps: "the system's own stamps",
  };
  const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];
  const HATCHES = { bad: "cross", standby: "stripe", unknown: "dots", elsewhere: "dots", mixed: "stripe" };
  const FAINT = { good: 0.72, off: 0.4, active: 0.8 };
  const charts = [];
  const full = [0, Math.max(data.length, data.step)];
  let zooming = false;

  const ratio = () => window.devicePixelRatio || 1;
  const narrow = () => root.clientWidth < NARROW;
  const gutter = () => (narrow() ? SLIM : GUTTER);
  const ink = (name) => getComputedStyle(page).getPropertyValue(name).trim();
  const font = (size) => size * ratio() + "px system-ui, sans-serif";
  const colour = (kind) => (kind === "fg" ? ink("--fg") : data.colours[kind] || data.colours.unknown);

  function faded(kind) {
    const share = Math.round((FAINT[kind] || 1) * 255).toString(16).padStart(2, "0");
    return colour(kind) + share;
  }

  const patterns = {};
  function hatch(ctx, kind) {
    const name = HATCHES[kind];
    if (!name) return null;
    if (!patterns[name]) {
      const tile = document.createElement("canvas");
      tile.width = tile.height = 8;
      const on = tile.getContext("2d");
      on.strokeStyle = on.fillStyle = "rgba(0,0,0,.34)";
      on.beginPath();
      if (name === "dots") { on.arc(2, 2, 1, 0, 7); on.fill(); }
      else { on.moveTo(-1, 9); on.lineTo(9, -1); if (name === "cross") { on.moveTo(-1, -1); on.lineTo(9, 9); } on.stroke(); }
      patterns[name] = ctx.createPattern(tile, "repeat");
    }
    return patterns[name];
  }

  // What all charts share: where faults were in force, and within which bounds an outage began and ended.
  function shade(u) {
    const { ctx, bbox } = u, x = (at) => u.valToPos(at, "x", true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const [low, high] of data.faults) {
      ctx.fillStyle = colour("bad") + "1c";
      ctx.fillRect(x(low), bbox.top, x(high) - x(low), bbox.height);
    }
    ctx.strokeStyle = ink("--fg");
    ctx.lineWidth = ratio();
    for (const bounds of data.windows.flatMap((w) => [w.onset, w.recovery]).filter(Boolean)) {
      ctx.fillStyle = ink("--fg") + "1a";
      ctx.fillRect(x(bounds[0]), bbox.top, Math.max(x(bounds[1]) - x(bounds[0]), ratio()), bbox.height);
      ctx.setLineDash([3 * ratio(), 3 * ratio()]);
      for (const at of bounds) {
        ctx.beginPath();
        ctx.moveTo(x(at), bbox.top);
        ctx.lineTo(x(at), bbox.top + bbox.height);
        ctx.stroke();
      }
    }
    ctx.restore();
  }

  function zoom(low, high) {
    const span = Math.min(Math.max(high - low, data.step / 2), full[1]);
    const from = Math.min(Math.max(low, 0), full[1] - span);
    zooming = true;
    for (const u of charts) u.setScale("x", { min: from, max: from + span });
    zooming = false;
    root.dataset.from = from;
    root.dataset.to = from + span;
  }

  function follow(u, scale) {
    if (scale !== "x" || zooming || charts.length < 2) return;
    const { min, max } = u.scales.x;
    if (min != null && max != null) zoom(min, max);
  }

  function options(name, height) {
    const axis = () => ({ stroke: () => ink("--muted"), grid: { stroke: () => ink("--line"), width: 1 / ratio() },
      ticks: { stroke: () => ink("--line"), width: 1 }, font: "11px system-ui, sans-serif" });
    return {
      width: root.clientWidth, height, id: "chart-" + name,
      padding: [6, 12, 0, 0],
      cursor: { sync: { key: "drill", setSeries: false }, drag: { x: true, y: false, dist: 4 }, points: { size: 5 }, y: false },
      legend: { live: true },
      scales: { x: { time: false, min: full[0], max: full[1] } },
      axes: [{ ...axis(), size: 26, space: 60 }, { ...axis(), size: gutter }],
      hooks: { drawClear: [shade], setScale: [follow], setCursor: [told] },
    };
  }

  function holder(name, title, unit) {
    const section = document.createElement("figure"), caption = document.createElement("figcaption");
    const small = document.createElement("span");
    caption.textContent = title;
    small.textContent = unit ? " " + unit : "";
    caption.append(small);
    section.append(caption);
    section.dataset.chart = name;
    root.append(section);
    return section;
  }

  const axis = Array.from({ length: data.buckets + 1 }, (_, n) => n * data.step);
  const short = (v) => (v == null ? "–" : v >= 100 ? v.toFixed(0) : String(+v.toPrecision(3)));

  function stacked(lines) {
    const sums = axis.map(() => 0);
    return lines.map((line) => line.values.map((v, n) => (sums[n] += v || 0)));
  }

  function chart(drawn) {
    const section = holder(drawn.name, drawn.title, drawn.unit), stack = drawn.form === "stack";
    const set = options(drawn.name, 150), steps = uPlot.paths.stepped({ align: 1 });
    // The last bucket is drawn to its end.
    const raw = drawn.lines.map((line) => [...line.values, line.values[line.values.length - 1]]);
    let shown = stack ? stacked(drawn.lines.map((line, n) => ({ values: raw[n] }))) : raw;
    const series = drawn.lines.map((line, n) => ({
      label: line.label,
      stroke: () => colour(line.kind),
      width: stack ? 1 : 1.6,
      dash: stack ? [] : DASHES[n % DASHES.length],
      fill: stack ? (u) => (u.ctx ? colour(line.kind) : null) : undefined,
      paths: steps,
      points: { show: false, size: 5, filter: (u, i) => (!stack && line.kind === "bad" ? points(u, i) : null) },
      value: (u, v, s, at) => worded(at == null ? null : raw[s - 1][at]),
    }));
    function worded(v) { return v == null || drawn.form !== "share" ? short(v) : short(v * 100) + "%"; }
    function points(u, i) {
      // Where something failed there is a dot, however small its share is.
      const [from, to] = u.series[0].idxs, found = [];
      for (let n = from; n <= to; n++) if (u.data[i][n] > 0) found.push(n);
      return found.length > 400 ? null : found;
    }
    series.unshift({ label: "at, " + data.unit, value: (u, v) => (v == null ? "–" : v.toFixed(1)) });
    if (stack) {
      // The tallest sum first, so that each lower one covers its part.
      const order = [...shown.keys()].reverse();
      set.series = [series[0], ...order.map((n) => ({ ...series[n + 1],
        value: (u, v, s, at) => short(at == null ? null : raw[n][at]) }))];
      shown = order.map((n) => shown[n]);
      set.hooks.drawSeries = [(u, s) => {
        const pattern = hatch(u.ctx, drawn.lines[order[s - 1]].kind), path = u.series[s]._paths;
        if (!pattern || !path || !path.fill || !u.series[s].show) return;
        u.ctx.save();
        u.ctx.beginPath();
        u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
        u.ctx.clip();
        u.ctx.fillStyle = pattern;
        u.ctx.fill(path.fill);
        u.ctx.restore();
      }];
      set.scales.y = { range: (u, low, high) => [0, Math.max(high || 0, 0.1) * 1.06] };
    } else {
      set.series = series;
      if (drawn.form === "share") {
        set.scales.y = { range: [0, 1.04] };
        set.axes[1].values = (u, at) => at.map((v) => (v > 1 ? "" : Math.round(v * 100) + "%"));
      } else {
        set.scales.y = { distr: 3 };
        // Lines at the decades alone.
        const decades = (u, at) => at.map((v) => (Number.isInteger(Math.log10(v)) ? v : null));
        const log = set.axes[1];
        log.filter = log.grid.filter = log.ticks.filter = decades;
        log.values = (u, at) => at.map((v) => (v == null ? "" : short(v)));
      }
    }
    const u = new uPlot(set, [axis, ...shown], section);
    named(section, drawn.title + ", " + drawn.unit + ". " + spoken(drawn));
    charts.push(u);
  }

  function spoken(drawn) {
    return drawn.lines.map((line) => {
      const known = line.values.filter((v) => v != null);
      if (!known.length) return line.label + ": nothing known";
      const low = known.reduce((a, b) => Math.min(a, b)), high = known.reduce((a, b) => Math.max(a, b));
      return line.label + ": from " + short(low) + " to " + short(high);
    }).join("; ") + ".";
  }

  function named(section, words) {
    const canvas = section.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", words);
  }

  // The bands: rows of what was so from when to when.
  let rows = [], bandsPlot = null;
  function laid() {
    const found = [], tall = narrow() ? 29 : 18;
    let y = 2, group = "";
    for (const band of data.bands) {
      if (band.group !== group) {
        group = band.group;
        found.push({ title: GROUPS[group] || group, y: y + 6, tall: 20 });
        y += 26;
      }
      found.push({ band, y, tall });
      y += tall;
    }
    return [found, y + 4];
  }

  function clipped(ctx, words, width) {
    if (ctx.measureText(words).width <= width) return words;
    // The middle goes: names of one system begin alike, and their ends say where and which.
    const kept = (count) => words.slice(0, Math.ceil(count * 0.55)) + "…" + words.slice(words.length - (count * 0.45 | 0));
    let low = 0, high = words.length;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (ctx.measureText(kept(middle)).width <= width) low = middle; else high = middle - 1;
    }
    return kept(low);
  }

  function drawBands(u) {
    const { ctx, bbox } = u, px = ratio(), slim = narrow();
    ctx.save();
    ctx.textBaseline = "middle";
    for (const row of rows) {
      const top = bbox.top + row.y * px;
      ctx.fillStyle = ink(row.title ? "--fg" : "--muted");
      ctx.font = (row.title ? "600 " : "") + font(row.title ? 12 : 11);
      if (row.title) {
        ctx.textAlign = "left";
        ctx.fillText(row.title, slim ? bbox.left : 4 * px, top + 8 * px);
        continue;
      }
      const bar = slim ? top + 13 * px : top + px, tall = slim ? 13 * px : (row.tall - 3) * px;
      ctx.textAlign = slim ? "left" : "right";
      const label = clipped(ctx, row.band.label, (slim ? bbox.width : bbox.left) - 12 * px);
      const place = [slim ? bbox.left : bbox.left - 8 * px, slim ? top + 6 * px : bar + tall / 2];
      ctx.lineWidth = 3 * px;
      ctx.strokeStyle = ink("--bg") + "d0";
      ctx.strokeText(label, ...place);
      ctx.fillText(label, ...place);
      ctx.fillStyle = ink("--lane");
      ctx.fillRect(bbox.left, bar, bbox.width, tall);
      for (const [low, high, kind, words] of row.band.pieces) drawPiece(u, low, high, kind, words, bar, tall);
    }
    ctx.restore();
  }

  function drawPiece(u, low, high, kind, words, bar, tall) {
    const { ctx, bbox } = u, px = ratio();
    const left = Math.max(u.valToPos(low, "x", true), bbox.left);
    const right = Math.min(u.valToPos(high, "x", true), bbox.left + bbox.width);
    if (left > bbox.left + bbox.width || right < bbox.left) return;
    const width = Math.max(right - left, 2 * px);
    ctx.fillStyle = faded(kind);
    ctx.fillRect(left, bar, width, tall);
    const pattern = hatch(ctx, kind);
    if (pattern) { ctx.fillStyle = pattern; ctx.fillRect(left, bar, width, tall); }
    ctx.fillStyle = ink("--fg") + "99";
    if (width > 4 * px) ctx.fillRect(left, bar, px, tall);
    ctx.font = font(10);
    if (width < 30 * px || ctx.measureText(words).width > width - 8 * px) return;
    ctx.textAlign = "left";
    const [on, halo] = kind === "primary" ? ["#ffffff", "#003a5c"] : [ink("--fg"), ink("--bg")];
    ctx.lineWidth = 2.5 * px;
    ctx.lineJoin = "round";
    ctx.strokeStyle = halo + "b0";
    ctx.strokeText(words, left + 5 * px, bar + tall / 2);
    ctx.fillStyle = on;
    ctx.fillText(words, left + 5 * px, bar + tall / 2);
  }

  function bands() {
    if (!data.bands.length) return;
    const section = holder("bands", "Who saw what, when", "point at a band to read it below" +
      (data.leftOut ? "; " + data.leftOut + " more bands have no room here" : ""));
    let height;
    [rows, height] = laid();
    const set = options("bands", height + 32);
    set.legend = { show: false };
    set.series = [{}, { show: false }];
    set.scales.y = { range: [0, 1] };
    set.axes[1] = { size: gutter, grid: { show: false }, ticks: { show: false }, splits: () => [] };
    set.axes[0].grid = { show: false };
    set.hooks.draw = [drawBands];
    bandsPlot = new uPlot(set, [full, [null, null]], section);
    named(section, "Bands: " + data.bands.map((b) => b.label).join("; ") + ". The tables below say the same in words.");
    charts.push(bandsPlot);
  }

  // What the cursor is at, in words.
  function at(pieces, time) {
    const near = Math.max((root.dataset.to - root.dataset.from) / 400, 0);
    return pieces.find((p) => p[0] <= time && time < p[1]) ||
      pieces.find((p) => Math.abs(p[0] - time) < near || Math.abs(p[1] - time) < near);
  }

  let pending = false, last = null;
  function told(u) {
    if (u.cursor.left == null || u.cursor.left < 0) return;
    last = { time: u.posToVal(u.cursor.left, "x"), top: u === bandsPlot ? u.cursor.top : null };
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => { pending = false; say(); });
  }

  function say() {
    const words = "At " + last.time.toFixed(1) + " " + data.unit + ": ";
    const phase = data.bands.length && at(data.bands[0].pieces, last.time);
    now.textContent = words + (phase ? phase[3] : "between phases");
    const under = last.top == null ? null : rows.find((r) => r.band && r.y <= last.top && last.top < r.y + r.tall);
    const found = [];
    for (const band of data.bands) {
      const piece = at(band.pieces, last.time);
      if (piece) found.push([band, piece]);
    }
    readout.replaceChildren(...found.map(([band, piece]) => {
      const item = document.createElement("li");
      const name = document.createElement(under && under.band === band ? "mark" : "b");
      name.textContent = band.label;
      item.append(name, ": " + piece[3] + " [" + piece[0].toFixed(1) + ", " + piece[1].toFixed(1) + "]");
      return item;
    }));
  }

  function move(time) {
    for (const u of charts) u.setCursor({ left: u.valToPos(time, "x"), top: 20 }, false);
    last = { time, top: null };
    say();
  }

  function view() { return [Number(root.dataset.from), Number(root.dataset.to)]; }
  function scaled(by) {
    const [from, to] = view(), middle = last && last.time >= from && last.time <= to ? last.time : (from + to) / 2;
    zoom(middle - (middle - from) * by, middle + (to - middle) * by);
  }
  function panned(by) {
    const [from, to] = view(), span = to - from;
    zoom(from + span * by, to + span * by);
  }

  const KEYS = {
    "+": () => scaled(0.5), "=": () => scaled(0.5), "-": () => scaled(2), "0": () => zoom(...full),
    Home: () => zoom(...full), PageUp: () => panned(-0.5), PageDown: () => panned(0.5),
    ArrowLeft: () => step(-1), ArrowRight: () => step(1),
  };
  function step(by) {
    const [from, to] = view(), size = (to - from) / 100;
    move(Math.min(Math.max((last ? last.time : from) + by * size, from), to));
  }

  function button(words, label, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = words;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    document.getElementById("zoom").append(made);
  }

  function controls() {
    button("whole run", "Show the whole run", () => zoom(...full));
    for (const w of data.windows) {
      const low = w.onset ? w.onset[0] : w.begin, high = w.recovery ? w.recovery[1] : w.end, room = (high - low) * 0.08;
      button(w.name, "Show the outage of the " + w.name, () => zoom(low - room, high + room));
    }
    button("+", "Zoom in", () => scaled(0.5));
    button("−", "Zoom out", () => scaled(2));
    button("◀", "Earlier", () => panned(-0.5));
    button("▶", "Later", () => panned(0.5));
    root.addEventListener("keydown", (event) => {
      if (!KEYS[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      KEYS[event.key]();
    });
  }

  function resized() {
    for (const u of charts) {
      if (u === bandsPlot) {
        let height;
        [rows, height] = laid();
        u.setSize({ width: root.clientWidth, height: height + 32 });
      } else u.setSize({ width: root.clientWidth, height: 150 });
    }
  }

  page.classList.add("scripted");
  try {
    data.charts.forEach(chart);
    bands();
    controls();
    zoom(...full);
  } catch (error) {
    page.classList.remove("scripted");
    throw error;
  }
  let width = root.clientWidth;
  new ResizeObserver(() => {
    if (root.clientWidth && root.clientWidth !== width) { width = root.clientWidth; resized(); }
  }).observe(root);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((u) => u.redraw(false)));
  root.dataset.drawn = charts.length;
})();
