/** Colors of charts come from the page's own custom properties, so light and dark agree everywhere. */

export function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim() || "#888";
}

/** Ten distinguishable inks (Okabe and Ito's order, darkened or lightened by the theme); classes beyond share them. */
export const INKS = 10;

export function ink(index: number): string {
  return color(`ink-${((index % INKS) + INKS) % INKS}`);
}

const listeners = new Set<() => void>();

/** Calls back whenever the theme changes, by the page's switch or by the system. */
export function onTheme(callback: () => void): () => void {
  listeners.add(callback);
  return () => listeners.delete(callback);
}

export function themeChanged(): void {
  for (const callback of listeners) callback();
}
