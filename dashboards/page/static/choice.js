// What the viewer chose, kept in the URL so that a link shows the same: a board, a period, and the board's variables.

export const HOME = "overview";
export const CAMPAIGN = "campaign:"; // how `compare` begins where it names another campaign
const DEFAULT = { since: "now-30d", until: "now" };
const NO_VARIABLES = new Set(["board", "since", "until", "timezone", "compare"]);

const variables = new Map(); // board to the names of its variables, as far as the server has told
const before = new Map(); // variable to what was last chosen of it, for boards to come that know it

/** The choice that the URL says: {board, since, until, timezone, compare, of: {variable: values}}. */
export function chosen() {
  const query = new URLSearchParams(location.search);
  const of = {};
  for (const name of query.keys()) if (!NO_VARIABLES.has(name)) of[name] = query.getAll(name).filter((value) => value || name === "variant"); // a variant may have no name
  return {
    board: query.get("board") || HOME,
    since: query.get("since") || DEFAULT.since,
    until: query.get("until") || DEFAULT.until,
    compare: query.get("compare") || "",
    timezone: query.get("timezone") || Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC",
    of,
  };
}

/** What to ask the server for the present choice, of another period if one is given. */
export function question(period = {}) {
  const { since, until, timezone, compare, of } = { ...chosen(), ...period };
  const query = new URLSearchParams({ since, until, timezone });
  if (compare) query.set("compare", compare);
  for (const [name, values] of Object.entries(of)) for (const value of values) query.append(name, value);
  return query;
}

/** Take note of what each board lets one choose. */
export function learn(boards) {
  for (const board of boards) variables.set(board.key, board.variables);
}

/** Take note of what is chosen now, so that a board which knows it finds it again after one that does not. */
export function remember() {
  const { board, of } = chosen();
  for (const name of variables.get(board) ?? []) before.set(name, of[name] ?? []);
}

/**
 * The URL's query for the present choice with `change` made: {board, since, until, timezone, of: {variable: values}}.
 * Another board gets of the present choice what it knows. The timezone stays only if the URL named it.
 */
export function href(change) {
  const now = chosen();
  const { board, since, until, compare } = { ...now, ...change };
  const query = new URLSearchParams();
  if (board !== HOME) query.set("board", board);
  if (since !== DEFAULT.since) query.set("since", since);
  if (until !== DEFAULT.until) query.set("until", until);
  if (compare) query.set("compare", compare);
  const known = variables.get(board);
  const present = variables.get(now.board);
  const of = { ...now.of };
  for (const name of known ?? []) if (present && !present.includes(name)) of[name] = before.get(name) ?? [];
  Object.assign(of, change.of);
  for (const [name, values] of Object.entries(of)) {
    if (!known || known.includes(name)) for (const value of values) query.append(name, value);
  }
  const timezone = change.timezone ?? new URLSearchParams(location.search).get("timezone");
  if (timezone) query.set("timezone", timezone);
  return `?${query}`;
}
