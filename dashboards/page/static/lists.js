// The way from a number to the emails behind it, one by one.

import { chosen, href } from "./choice.js";

// What narrows the emails: the choice, and the column in which a row says it of itself.
const NARROWED_BY = { campaign: "campaign_id", step: "step", variant: "variant", link: "link_id" };

/** The address of the list of emails with that outcome: those of a row, or of all that is chosen. */
export function listed(outcome, row = {}) {
  const { of: now } = chosen();
  const of = { outcome: [outcome] };
  for (const [name, column] of Object.entries(NARROWED_BY)) of[name] = row[column] === undefined || row[column] === null ? (now[name] ?? []) : [String(row[column])];
  return href({ board: "recipients", of });
}
