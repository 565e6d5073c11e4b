// An upstream on the TypeScript SDK; over HTTP it prints its port once it listens.
//
// Usage: node typescript_server.mjs [--http]
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const packages = createRequire(process.env.NODE_PACKAGES + "/");
const load = (name) => import(pathToFileURL(packages.resolve(name)).href);
const sdk = "@modelcontextprotocol/sdk";
const { McpServer } = await load(`${sdk}/server/mcp.js`);
const { StdioServerTransport } = await load(`${sdk}/server/stdio.js`);
const { StreamableHTTPServerTransport } = await load(`${sdk}/server/streamableHttp.js`);
const { ElicitResultSchema, UrlElicitationRequiredError } = await load(`${sdk}/types.js`);
const { z } = await load("zod");

const text = (words) => ({ content: [{ type: "text", text: words }] });

function build() {
  const server = new McpServer({ name: "typescript", version: "1" });
  server.registerTool(
    "add",
    { inputSchema: { a: z.number(), b: z.number() }, outputSchema: { sum: z.number() } },
    async ({ a, b }) => ({ ...text(`${a + b}`), structuredContent: { sum: a + b } }),
  );
  server.registerTool("climb", { inputSchema: { steps: z.number() } }, async ({ steps }, extra) => {
    const progressToken = extra._meta?.progressToken;
    for (let progress = 1; progress <= steps; progress += 1) {
      const params = { progressToken, progress, total: steps, message: `step ${progress}` };
      await extra.sendNotification({ method: "notifications/progress", params });
    }
    return text("top");
  });
  server.registerTool("paint", {}, async (extra) => {
    const requestedSchema = { type: "object", properties: { colour: { type: "string" } }, required: ["colour"] };
    const params = { message: "Which colour?", requestedSchema };
    const answer = await extra.sendRequest({ method: "elicitation/create", params }, ElicitResultSchema);
    return text(`${answer.action} ${answer.content?.colour}`);
  });
  server.registerTool("grow", {}, async () => {
    server.registerTool("grown", {}, async () => text("here"));
    return text("growing");
  });
  server.registerTool("locked", {}, async () => {
    const visit = { mode: "url", message: "Sign in.", url: "https://example.com/in", elicitationId: "v1" };
    throw new UrlElicitationRequiredError([visit]);
  });
  return server;
}

async function listen() {
  const sessions = new Map();
  const http = createServer(async (request, response) => {
    let transport = sessions.get(request.headers["mcp-session-id"]);
    if (transport === undefined) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => sessions.set(id, transport),
      });
      await build().connect(transport);
    }
    await transport.handleRequest(request, response);
  });
  http.listen(0, "127.0.0.1", () => console.log(http.address().port));
}

if (process.argv.includes("--http")) {
  await listen();
} else {
  await build().connect(new StdioServerTransport());
}
