// What a TypeScript client makes of the server; prints it as JSON.
//
// Usage: node typescript.mjs v1|v2 URL | node typescript.mjs v1|v2 COMMAND [ARGUMENT...]
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [generation, first, ...rest] = process.argv.slice(2);
const packages = createRequire(process.env.NODE_PACKAGES + "/");
const load = (name) => import(pathToFileURL(packages.resolve(name)).href);

async function open() {
  const about = { name: "typescript", version: "1" };
  if (generation === "v1") {
    const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
    const { StdioClientTransport } = await load("@modelcontextprotocol/sdk/client/stdio.js");
    const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
    return [new Client(about), StdioClientTransport, StreamableHTTPClientTransport];
  }
  const { Client, StreamableHTTPClientTransport } = await load("@modelcontextprotocol/client");
  const { StdioClientTransport } = await load("@modelcontextprotocol/client/stdio");
  return [new Client(about), StdioClientTransport, StreamableHTTPClientTransport];
}

const [client, Stdio, Http] = await open();
const transport = first.startsWith("http")
  ? new Http(new URL(first))
  : new Stdio({ command: first, args: rest, env: process.env });
await client.connect(transport);
const call = (name, args) => client.callTool({ name, arguments: args });
const captured = await call("capture", { content: "The owl counts ü twice.", project: "Owls" });
const receipt = captured.structuredContent;
const found = await call("search_captures", { query: "owl" });
const summary = await call("summarize", { project: "Owls" });
const resource = await client.readResource({ uri: receipt.uri });
const refused = await call("list_captures", { limit: 0 });
console.log(
  JSON.stringify({
    version: client.getServerVersion()?.version,
    tools: (await client.listTools()).tools.map((tool) => tool.name),
    prompts: (await client.listPrompts()).prompts.map((prompt) => prompt.name),
    captured: receipt.id,
    found: found.structuredContent.hits.map((hit) => hit.id),
    cited: summary.structuredContent.sentences[0].sources,
    content: JSON.parse(resource.contents[0].text).content,
    refused: refused.isError === true,
  }),
);
await client.close();
