/** Writes beside the built files what of others is in them, and under which licences. */

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

const MODULES = join(import.meta.dirname, "node_modules");

function packageOf(id: string): string | null {
  const path = id.replace(/\0/g, "").split("node_modules/").at(-1);
  if (path === undefined || !id.includes("node_modules/")) return null;
  return path.split("/").slice(0, path.startsWith("@") ? 2 : 1).join("/");
}

function licenceOf(name: string): string {
  const folder = join(MODULES, name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<string, string>;
  const file = readdirSync(folder).find((each) => /^licen[sc]e/i.test(each));
  if (file === undefined) throw new Error(`${name} comes without the text of its licence`);
  const text = readFileSync(join(folder, file), "utf8").trim();
  return `${name} ${version} (${license})\n\n${text}\n`;
}

export function licences(): Plugin {
  return {
    name: "licences",
    apply: "build",
    generateBundle(_options, bundle) {
      const names = new Set<string>();
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== "chunk") continue;
        for (const id of Object.keys(chunk.modules)) {
          const name = packageOf(id);
          if (name !== null) names.add(name);
        }
      }
      const head = "The files of the console contain code of these packages.\n";
      const source = [head, ...[...names].sort().map(licenceOf)].join(`\n${"-".repeat(72)}\n\n`);
      this.emitFile({ type: "asset", fileName: "THIRD-PARTY-LICENCES.txt", source });
    },
  };
}
