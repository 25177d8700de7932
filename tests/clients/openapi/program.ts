// What a platform does with the types that openapi-typescript made of our document; prints what came of it.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

const [url, key] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${key}` } });

const declared = await client.POST("/v1/campaigns", { body: { id: "typescript", name: "TypeScript", utm_source: "news" } });
const wanted: components["schemas"]["SendRequest"] = {
  campaign: "typescript", step: 1, lead: "lead-1", to: "ada@example.com", sender: "news@example.net", subject: "S", text: "T",
};
const unknown = { ...wanted, campaign: "nobody-declared" };
const sent = await client.POST("/v1/sends", { body: { sends: [wanted, unknown] } });
const refused = await client.POST("/v1/sends", { body: { sends: [unknown] } });
const stats = await client.GET("/v1/campaigns/{id}/stats", { params: { path: { id: "typescript" } } });
const nobody = await client.GET("/v1/leads/{id}/timeline", { params: { path: { id: "nobody" } } });
const rows = await client.GET("/v1/export", { params: { query: { table: "emails" } }, parseAs: "text" });

// Each of these is typed: a field that the document lacks does not compile.
const problem: components["schemas"]["Problem"] | undefined = nobody.error;
const text: string | undefined = rows.data;
console.log(JSON.stringify({
  campaign: [declared.data?.id, declared.data?.utm_source],
  sent: [sent.data?.accepted, sent.data?.rejected.map((one) => one.reason)],
  refused: [refused.response.status, refused.error],
  stats: [stats.data?.campaign],
  nobody: [nobody.response.status, problem?.status],
  rows: text?.split("\n")[0].split(",").slice(0, 2),
}));
