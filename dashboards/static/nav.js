// The way from board to board.

import { chosen, href } from "./choice.js";
import { el } from "./dom.js";

const nav = document.getElementById("boards");
let made = "";
let links = [];

/** Offer these boards ({key, title}). Links lead there with the period and the choices that the board knows. */
export function boards(all) {
  const text = JSON.stringify(all);
  if (text !== made) {
    made = text;
    links = all.map(({ key, title }) => ({ key, title, node: el("a", { "data-board": key }, title) }));
    nav.replaceChildren(el("ul", {}, ...links.map(({ node }) => el("li", {}, node))));
    nav.hidden = links.length < 2;
  }
  mark();
}

/** Mark the board that is shown, and let the links say the present choice. Returns its title, if it is known yet. */
export function mark() {
  const { board } = chosen();
  for (const { key, node } of links) {
    node.setAttribute("href", href({ board: key }));
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
