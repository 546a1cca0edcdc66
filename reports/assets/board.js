// The live board: asks for the status once a second, and goes on asking after a dropped connection.
// Everything that is shown goes through textContent: nothing of the system under test becomes markup.
"use strict";
const EVERY_MS = 1000, LIMIT_MS = 5000;
const at = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
let held = null, lostSince = null, seen = "";

function put(id, text) {
  const node = at(id), words = text === null || text === undefined ? "" : String(text);
  if (node.textContent !== words) node.textContent = words;
}
function show(id, visible) { at(id).hidden = !visible; }
function element(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = String(text);
  if (name) made.className = name;
  return made;
}
function rows(id, list) {
  at(id).replaceChildren(...list.map((cells) => {
    const row = element("tr");
    row.append(...cells.map((cell) => element("td", cell, String(cell).length < 14 ? "word" : "")));
    return row;
  }));
}
function items(id, list) { at(id).replaceChildren(...list.map((words) => element("li", words))); }

function curve(points) {
  const top = Math.max(1, ...points.map((p) => p[1])), span = 300;
  const path = (n) => points.map((p, i) =>
    `${i ? "L" : "M"}${(span + Math.max(p[0], -span)).toFixed(1)} ${(58 - 54 * p[n] / top).toFixed(1)}`).join("");
  for (const [id, n] of [["all", 1], ["bad", 2]]) at(id).setAttribute("d", path(n) || "M0 58");
  put("top", points.length ? `highest: ${top.toFixed(0)} req/s` : "");
}

// you: the role whose token this browser has, "" for none; undefined where roles have no tokens and are claimed.
function hold(now, you) {
  show("hold", now !== null);
  const key = now === null ? null : `${now.step} ${now.since} ${you}`;
  if (now !== null && key !== held) {
    put("hold-step", `Hold ${now.step}`);
    put("hold-message", now.message);
    const named = now.release.filter((role) => you === undefined || role === you);
    const roles = now.release.length ? named : [you || "anybody"];
    at("role").replaceChildren(...roles.map((role) => {
      const made = element("option", role);
      made.value = now.release.length || you ? role : "";
      return made;
    }));
    show("release", roles.length > 0);
    put("release-said", roles.length ? "" : `Only with the token of: ${now.release.join(" or ")}`);
    at("release").dataset.step = now.step;
  }
  held = key;
  if (now !== null) put("hold-since", `waits since ${now.since_words}`);
}

function drill(now) {
  const live = now === null ? {} : now.live;
  put("drill", now === null ? "no drill runs" : `${now.id}: ${now.scenario} on ${now.target}, attempt ${now.attempt}`);
  put("phase", live.phase || (now === null ? "-" : "starting"));
  const running = live.recovery_clock_s !== null && live.recovery_clock_s !== undefined;
  put("clock", running ? `${live.recovery_clock_s.toFixed(0)} ${live.unit}` : "-");
  put("clock-limit", running ? `objective ${live.rto_s} ${live.unit}` : "");
  at("clock-tile").classList.toggle("over", running && live.recovery_clock_s > live.rto_s);
  put("rate", live.requests_per_s === undefined ? "-" : live.requests_per_s.toFixed(1));
  put("errors", live.errors_per_s === undefined ? "-" : live.errors_per_s.toFixed(1));
  at("errors-tile").classList.toggle("over", (live.errors_per_s || 0) > 0);
  put("elapsed", live.elapsed_s === undefined ? "-" : `${live.elapsed_s.toFixed(0)} ${live.unit}`);
  show("problem", Boolean(live.problem));
  put("problem", live.problem);
  rows("dns", Object.entries(live.dns || {}));
  rows("http", Object.entries(live.http || {}).map(([region, rate]) => [region, `${rate.toFixed(1)} /s`]));
  curve(live.curve || []);
}

function draw(status) {
  put("state", status.words);
  put("times", status.times);
  show("lab", status.lab);
  show("you", status.you !== undefined);
  put("you-words", status.you ? `You are: ${status.you}, by its token.` : "Your token names no role: you may look and note.");
  hold(status.hold, status.you);
  drill(status.drill);
  const key = JSON.stringify([status.steps, status.next, status.observations, status.roles]);
  if (key === seen) return;
  seen = key;
  rows("steps", status.steps);
  items("next", status.next.length ? status.next : ["nothing: that is all of the plan"]);
  rows("observations", status.observations);
  rows("roles", status.roles);
}

async function ask() {
  const stop = new AbortController(), timer = setTimeout(() => stop.abort(), LIMIT_MS);
  try {
    const reply = await fetch("status", {signal: stop.signal, cache: "no-store"});
    if (reply.status === 401) return location.reload();
    if (!reply.ok) throw new Error(`HTTP ${reply.status}`);
    draw(await reply.json());
    lostSince = null;
  } catch (error) {
    lostSince = lostSince || new Date();
    put("lost", `No connection since ${lostSince.toLocaleTimeString()}: what is shown is old. ` +
      "Trying again; if the game day is over, its report is in its folder.");
  } finally {
    clearTimeout(timer);
    show("lost", lostSince !== null);
    document.body.classList.toggle("stale", lostSince !== null);
    setTimeout(ask, EVERY_MS);
  }
}

async function send(path, record, said) {
  try {
    const reply = await fetch(path, {
      method: "POST", body: JSON.stringify(record),
      headers: {"Content-Type": "application/json", "X-Failover-Drill": "board"},
    });
    const answer = await reply.json();
    put(said, reply.ok ? answer.said : `not done: ${answer.error}`);
    return reply.ok;
  } catch (error) {
    put(said, "not done: no connection; try again");
    return false;
  }
}

at("release").addEventListener("submit", (event) => {
  event.preventDefault();
  send("release", {step: at("release").dataset.step, role: at("role").value, who: at("released-by").value}, "release-said");
});
at("observe").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await send("observe", {text: at("text").value, who: at("seen-by").value}, "observe-said")) at("text").value = "";
});
ask();
