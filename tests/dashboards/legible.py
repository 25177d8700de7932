"""Whether a page can be read and used: contrast by the colours that are shown, and names for whatever can be used."""

from __future__ import annotations

from typing import Any

from tests.support.browser import Page

# WCAG 2.2, 1.4.3: text needs 4.5 to 1 against what is behind it.
_FAINT = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const of = rgb(getComputedStyle(node).backgroundColor);
      if (of.length === 3 || of[3] === 1) return of;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll('h1, h2, h3, p, a, th, td, time, dt, dd, summary, button, span, strong, label')]
    .filter((node) => node.checkVisibility() && !node.closest('.sr-only, [aria-hidden=true]:not(.heat span), .stale')
      && [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()));
  return texts.map((node) => {
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(ground(node))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), node.textContent.trim().slice(0, 40), node.className];
  }).filter(([ratio]) => ratio < 4.5);
})()"""

_UNNAMED = """[...document.querySelectorAll('button, select, input, a, summary, [role=img], [role=region], nav, section, form')]
  .filter((node) => node.checkVisibility()
    && !(node.innerText || node.getAttribute('aria-label') || node.getAttribute('aria-labelledby') || node.labels?.length))
  .map((node) => node.outerHTML)"""


def faint(page: Page) -> Any:
    """Texts with too little contrast: ratio, text, class."""
    return page.value(_FAINT)


def unnamed(page: Page) -> Any:
    """What can be used, or is a picture, and has no name for those who cannot see it."""
    return page.value(_UNNAMED)
