// Prints the licence texts of every package under a node_modules folder, equal texts once.
// It takes in more than the bundle needs (the whole dependency tree), never less.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const texts = new Map();

function add(folder) {
  const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  const text = file
    ? readFileSync(join(folder, file), "utf8").replaceAll("\r", "").trim()
    : `(the package states only: ${about.license})`;
  texts.set(text, [...(texts.get(text) ?? []), `${about.name} ${about.version} (${about.license})`]);
}

function walk(root) {
  for (const entry of readdirSync(root, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name.startsWith(".")) continue;
    const folder = join(root, entry.name);
    if (entry.name.startsWith("@")) {
      walk(folder);
      continue;
    }
    if (existsSync(join(folder, "package.json"))) add(folder);
    if (existsSync(join(folder, "node_modules"))) walk(join(folder, "node_modules"));
  }
}

walk(process.argv[2]);
for (const [text, names] of texts) {
  console.log(`${names.sort().join("\n")}\n\n${text}\n\n${"-".repeat(72)}\n`);
}
