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
  // The server answers the page's own origin only, so the Host header must stay as the browser sent it.
  server: {
    proxy: {
      "/api": { target: loadEnv(mode, ".", "SUBTRAIN_").SUBTRAIN_API ?? "http://127.0.0.1:8420", changeOrigin: false },
    },
  },
}));
