"""What a person would complain about in a page, found by a browser: overlaps, cut texts, empty charts, barriers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.browser import Tab

AXE = Path(__file__).parent / "assets" / "axe" / "axe.min.js"
TEXTS = """(() => {
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const holder = node.parentElement, words = node.data.trim();
    if (!words || holder.closest('script,style,title,desc') || !holder.checkVisibility({checkVisibilityCSS: true}))
      continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const scroll = holder.closest('.scroll'), frame = scroll && scroll.getBoundingClientRect();
    for (const box of range.getClientRects()) {
      let {left, right, top, bottom} = box;
      if (frame) [left, right] = [Math.max(left, frame.left), Math.min(right, frame.right)];
      if (right - left > 1 && bottom - top > 1) found.push({words, left, right, top, bottom});
    }
  }
  return found;
})()"""
OVERLAPS = f"""(() => {{
  const all = {TEXTS}.sort((a, b) => a.top - b.top), wrong = [];
  // Boxes of text are taller than their letters: lines may touch by a third of their height.
  all.forEach((a, n) => {{
    for (let m = n + 1; m < all.length && all[m].top < a.bottom; m++) {{
      const b = all[m], low = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      if (wide > 2 && low > Math.min(a.bottom - a.top, b.bottom - b.top) / 3) wrong.push(a.words + ' | ' + b.words);
    }}
  }});
  return wrong.slice(0, 5);
}})()"""
OUTSIDE = f"{TEXTS}.filter(t => t.left < -1 || t.right > innerWidth + 1).map(t => t.words).slice(0, 5)"
DOTS = """window.dots = canvas => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {willReadFrequently: true});
  copy.drawImage(canvas, 0, 0);
  return copy.getImageData(0, 0, canvas.width, canvas.height).data;
};"""
EMPTY = """[...document.querySelectorAll('canvas')].filter(canvas => {
  const data = dots(canvas), colours = new Set();
  for (let n = 0; n < data.length; n += 4)
    if (data[n + 3]) colours.add(data[n] << 16 | data[n + 1] << 8 | data[n + 2]);
  return colours.size < 4;
}).length"""

UNDRAWN = """(() => {
  const data = JSON.parse(document.getElementById('run-data').textContent), wrong = [];
  for (const chart of data.charts) {
    const canvas = document.querySelector(`[data-chart=${chart.name}] canvas`);
    const found = dots(canvas);
    for (const line of chart.lines.filter(l => data.colours[l.kind] && l.values.some(v => v > 0))) {
      const wanted = [1, 3, 5].map(n => parseInt(data.colours[line.kind].slice(n, n + 2), 16));
      let count = 0;
      for (let n = 0; n < found.length; n += 4)
        count += found[n + 3] > 200 && wanted.every((v, m) => Math.abs(v - found[n + m]) < 16);
      if (count < 10) wrong.push(`${chart.name}: ${line.label} (${count} dots)`);
    }
  }
  return wrong;
})()"""


def overlaps(tab: Tab) -> list[str]:
    """Pairs of visible texts that lie over each other; none in a good page."""
    return list(tab.run(OVERLAPS))


def outside(tab: Tab) -> list[str]:
    """Texts that leave the window at its sides, where nothing lets them be scrolled into view."""
    wide = tab.run("document.documentElement.scrollWidth > innerWidth + 1")
    return [*dict.fromkeys(tab.run(OUTSIDE)), *(["the page scrolls sideways"] if wide else [])]


def empty_charts(tab: Tab) -> int:
    """How many canvases have next to nothing drawn on them."""
    return int(tab.run(DOTS + EMPTY))


def undrawn(tab: Tab) -> list[str]:
    """The series of a report whose colour is hardly to be seen on their chart."""
    return list(tab.run(DOTS + UNDRAWN))


def barriers(tab: Tab) -> list[str]:
    """What axe-core finds against the page's accessibility (WCAG 2.2 A and AA, and its best practices)."""
    tab.run(AXE.read_text() + ";0")
    found: list[dict[str, Any]] = tab.run("axe.run(document).then(found => found.violations)")
    return [f"{v['id']}: {v['help']}: {[n['target'] for n in v['nodes'][:3]]}" for v in found]
