/** Numbers as people read them: a true minus sign, few digits, words where there is no number. */

export function fixed(value: number | null | undefined, places = 2): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const text = value.toFixed(places);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

export function signed(value: number, places = 2): string {
  const text = fixed(value, places);
  return value > 0 && Number(value.toFixed(places)) !== 0 ? `+${text}` : text;
}

export function percent(value: number | null | undefined, places = 0): string {
  return value === null || value === undefined ? "–" : `${fixed(100 * value, places)}\u202f%`;
}

export function whole(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : value.toLocaleString("en-US").replaceAll(",", "\u202f");
}

export function count(n: number, noun: string): string {
  return `${whole(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** Decimals that show two digits of the largest of some weights. */
export function decimals(largest: number): number {
  return largest > 0 ? Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(largest)))) : 2;
}

export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
