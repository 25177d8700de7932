// The way from board to board.

import { chosen, href } from "./choice.js";
import { el } from "./dom.js";

const nav = document.getElementById("boards");
let made = "";
let links = [];

/**
 * Offer these boards ({key, title, since}). Links lead there with the choices that the board knows and the period; from a
 * board's own period to the other's own.
 */
export function boards(all) {
  const text = JSON.stringify(all);
  if (text !== made) {
    made = text;
    links = all.map(({ key, title, since }) => ({ key, title, since, node: el("a", { "data-board": key }, title) }));
    nav.replaceChildren(el("ul", {}, ...links.map(({ node }) => el("li", {}, node))));
    nav.hidden = links.length < 2;
  }
  mark();
}

/** Mark the board that is shown, and let the links say the present choice. Returns its title, if it is known yet. */
export function mark() {
  const now = chosen();
  const { board } = now;
  const own = now.until === "now" && links.some(({ key, since }) => key === board && since === now.since);
  for (const { key, since, node } of links) {
    node.setAttribute("href", href(own ? { board: key, since } : { board: key }));
    if (key !== board) node.removeAttribute("aria-current");
    else if (!node.hasAttribute("aria-current")) {
      node.setAttribute("aria-current", "page");
      const [strip, box] = [nav.getBoundingClientRect(), node.getBoundingClientRect()];
      if (box.left < strip.left || box.right > strip.right) nav.scrollLeft += box.left - strip.left - 14;
    }
  }
  return links.find(({ key }) => key === board)?.title;
}

nav.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const at = links.findIndex(({ node }) => node === document.activeElement);
  if (!step || at < 0) return;
  event.preventDefault();
  links[(at + step + links.length) % links.length].node.focus();
});
