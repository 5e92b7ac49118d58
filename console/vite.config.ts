/// <reference types="vitest/config" />
import { defineConfig } from "vite";
import { licences } from "./licences.ts";

export default defineConfig({
  base: "/",
  plugins: [licences()],
  build: {
    outDir: "../zs3/console/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    // Nothing as data: URL: the policy of the page lets none in.
    assetsInlineLimit: 0,
    reportCompressedSize: true,
  },
  test: { environment: "jsdom", include: ["test/**/*.test.ts"] },
});
