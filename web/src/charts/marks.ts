import type uPlot from "uplot";
import { color } from "./theme";

export interface Mark {
  at: number;
  color: string;
  dash?: number[];
  label?: string;
}

/** Draws vertical lines over a plot, each with its name at the top. */
export function vertical(u: uPlot, marks: readonly Mark[]): void {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  const seen = marks.map((mark) => ({ mark, x: Math.round(u.valToPos(mark.at, "x", true)) }));
  const inside = seen.filter(({ x }) => x >= bbox.left - 1 && x <= bbox.left + bbox.width + 1);
  for (const { mark, x } of inside) {
    ctx.strokeStyle = mark.color;
    ctx.lineWidth = 2 * ratio;
    ctx.setLineDash((mark.dash ?? []).map((part) => part * ratio));
    stroke(ctx, x, bbox.top, x, bbox.top + bbox.height);
  }
  inside.forEach(({ mark, x }, line) => {
    ctx.fillStyle = mark.color;
    if (mark.label) write(ctx, bbox, mark.label, x, bbox.top + (12 + 14 * (line % 4)) * ratio, 5 * ratio);
  });
  ctx.restore();
}

/** Draws a line from one point of the plot's values to another. */
export function segment(u: uPlot, from: [number, number], to: [number, number], color: string, dash: number[]): void {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.strokeStyle = color;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash(dash.map((part) => part * devicePixelRatio));
  const [x0, y0, x1, y1] = [...from, ...to].map((v, i) => u.valToPos(v, i % 2 ? "y" : "x", true));
  stroke(ctx, x0!, y0!, x1!, y1!);
  ctx.restore();
}

function stroke(ctx: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number): void {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

/** Writes beside a line, on whichever side has room. */
function write(ctx: CanvasRenderingContext2D, bbox: uPlot.BBox, text: string, x: number, y: number, gap: number): void {
  const fits = x + gap + ctx.measureText(text).width <= bbox.left + bbox.width;
  ctx.textAlign = fits ? "left" : "right";
  ctx.setLineDash([]);
  ctx.strokeStyle = color("paper");
  ctx.lineWidth = gap;
  ctx.lineJoin = "round";
  ctx.strokeText(text, fits ? x + gap : x - gap, y);
  ctx.fillText(text, fits ? x + gap : x - gap, y);
}
