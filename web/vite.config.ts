import { defineConfig, loadEnv } from "vite";
import { viteSingleFile } from "vite-plugin-singlefile";

export default defineConfig(({ mode }) => ({
  plugins: [viteSingleFile({ removeViteModuleLoader: true })],
  build: {
    outDir: "../src/subtrain/explorer/web",
    emptyOutDir: true,
    target: "es2023",
    reportCompressedSize: false,
  },
  // `npm run dev` shows the study of a server that `subtrain explore` has started.
  server: { proxy: { "/api": loadEnv(mode, ".", "SUBTRAIN_").SUBTRAIN_API ?? "http://127.0.0.1:8765" } },
}));
