// Finding a lead by its id or by an email address.

import { el } from "./dom.js";

/** The ids of the leads that the text names; the text itself where it can't be looked up or nobody is known by it. */
async function leads(text) {
  if (!text.includes("@")) return [text];
  try {
    const response = await fetch("leads/find", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text }) });
    const found = response.ok ? (await response.json()).leads.map(({ lead }) => lead) : [];
    return found.length ? found : [text];
  } catch {
    return [text];
  }
}

/** Go to the lead that the text names; where an address has several, offer them in `choice`. */
export async function find(text, variable, go, choice) {
  const found = text ? await leads(text) : [];
  choice.hidden = found.length < 2;
  if (found.length < 2) return go({ of: { [variable.name]: found } });
  const pick = (lead) => el("button", { type: "button", class: "plain", on: { click: () => { choice.hidden = true; go({ of: { [variable.name]: [lead] } }); } } }, lead);
  choice.replaceChildren(el("p", { class: "muted" }, `${found.length} leads have this address:`), ...found.map(pick));
  choice.querySelector("button").focus();
}
