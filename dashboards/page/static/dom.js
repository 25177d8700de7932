// Making elements. Text is always set as text, never as HTML: names come from outside.

/** el("p", {class: "muted", on: {click}}, "text", child): `on` holds listeners, null and false leave an attribute out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** The colour of a name such as `blue` in the theme of now, for canvas, which knows no CSS variables. */
export function color(name) {
  const probe = document.getElementById("tip");
  probe.style.color = `var(--${name})`;
  const resolved = getComputedStyle(probe).color;
  probe.style.color = "";
  return resolved;
}

/** One tooltip for all that carry `data-tip`: by mouse, by focus, by touch; Escape closes it. */
export function tooltips() {
  const tip = document.getElementById("tip");
  const show = (target) => {
    tip.textContent = target.dataset.tip;
    tip.hidden = false;
    const at = target.getBoundingClientRect();
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.max(8, Math.min(at.left + at.width / 2 - width / 2, document.documentElement.clientWidth - width - 8));
    const above = at.top - height - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above < 8 ? at.bottom + 8 : above}px`;
  };
  const hide = () => {
    tip.hidden = true;
  };
  const over = (event) => {
    const target = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
    if (target) show(target);
    else hide();
  };
  document.addEventListener("mouseover", over);
  document.addEventListener("focusin", over);
  document.addEventListener("click", over);
  document.addEventListener("scroll", hide, { passive: true, capture: true });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
}
