import { themeChanged } from "./charts/theme";

export type Theme = "light" | "dark";

const KEY = "subtrain-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export function theme(): Theme {
  return document.documentElement.dataset.theme === "dark" ? "dark" : "light";
}

/** Follows the system until somebody chooses. */
export function startTheme(): void {
  apply();
  system.addEventListener("change", apply);
}

export function choose(to: Theme): void {
  try {
    localStorage.setItem(KEY, to);
  } catch {
    // A page opened from a file may have no storage; the choice then lasts as long as the page.
  }
  set(to);
}

function apply(): void {
  set(chosen() ?? (system.matches ? "dark" : "light"));
}

function chosen(): Theme | null {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : null;
  } catch {
    return null;
  }
}

function set(to: Theme): void {
  document.documentElement.dataset.theme = to;
  themeChanged();
}
