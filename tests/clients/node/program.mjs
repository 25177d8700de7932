// Runs a plan of queries through @clickhouse/client: JSON in, JSON out. See tests/clients/programs.py.
import { createClient } from "@clickhouse/client";

async function query(client, { sql, settings }) {
  const answer = await client.query({ query: sql, format: "JSONCompactEachRowWithNames", clickhouse_settings: settings });
  const lines = [];
  for await (const rows of answer.stream()) lines.push(...rows.map((row) => row.json()));
  return { columns: lines[0] ?? [], rows: lines.slice(1) };
}

async function cancelled(client, { sql, settings }) {
  const answer = await client.query({ query: sql, format: "JSONCompactEachRow", clickhouse_settings: settings });
  for await (const _ of answer.stream()) break; // which destroys the stream, and with it the connection
  answer.close();
  return {};
}

async function insert(client, { table, rows }) {
  await client.insert({ table, values: rows, format: "JSONCompactEachRow" });
  return {};
}

let text = "";
for await (const piece of process.stdin) text += piece;
const plan = JSON.parse(text);
const packed = plan.compression === "gzip";
const client = createClient({
  url: `http://${plan.address}`, username: plan.user, password: plan.password, database: plan.database,
  compression: { request: packed, response: packed }, keep_alive: { enabled: true },
});
const results = [];
for (const step of plan.steps) {
  const run = { cancel: cancelled, insert }[step.do] ?? query;
  try {
    results.push(await run(client, step));
  } catch (error) {
    results.push({ columns: [], rows: [], error: `${error.type ?? ""} ${error.code ?? ""} ${error.message}` });
  }
}
await client.close();
process.stdout.write(JSON.stringify(results));
