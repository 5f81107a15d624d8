import { useCallback } from "preact/hooks";
import uPlot from "uplot";
import { axis, Chart } from "./chart";
import { segment } from "./marks";
import { color } from "./theme";

export interface Cloud {
  /** Custom property that holds its color. */
  color: string;
  x: number[];
  y: number[];
  /** Number of each point, handed to `onPick` and `onSelect`. */
  id: number[];
}

interface Props {
  clouds: readonly Cloud[];
  x: string;
  y: string;
  label: string;
  height?: number;
  radius?: number;
  /** Draws the line on which prediction and observation agree. */
  diagonal?: boolean;
  /** Whether the axes carry numbers: those of an embedding mean nothing. */
  numbers?: boolean;
  onPick?: (id: number) => void;
  onHover?: (id: number | null) => void;
  onSelect?: (ids: number[]) => void;
}

/** Points in one or more colors; click picks the nearest, dragging a box selects. */
export function Scatter(props: Props) {
  const { clouds, x, y, diagonal, numbers = true, radius = 3, onPick, onHover, onSelect } = props;
  const make = useCallback(
    () => ({
      options: {
        mode: 2 as const,
        scales: { x: { time: false, range: padded }, y: { range: padded } },
        legend: { show: false },
        cursor: {
          show: true,
          points: { show: false },
          drag: { x: !!onSelect, y: !!onSelect, setScale: false, dist: 4 },
        },
        axes: numbers ? [axis(x), axis(y, { size: 46 })] : [axis("", HIDDEN), axis("", HIDDEN)],
        series: [
          {},
          ...clouds.map((cloud) => ({ stroke: color(cloud.color), fill: color(cloud.color), paths: dots(radius) })),
        ],
        hooks: {
          drawClear: diagonal ? [agreement] : [],
          ready: onPick ? [(u: uPlot) => follow(u, clouds, onPick, onHover)] : [],
          setSelect: onSelect ? [(u: uPlot) => u.select.width > 2 && onSelect(inside(u, clouds))] : [],
        },
      } as unknown as Omit<uPlot.Options, "width" | "height">,
      data: [null, ...clouds.map((cloud) => [cloud.x, cloud.y])] as unknown as uPlot.AlignedData,
    }),
    [clouds, x, y, diagonal, numbers, radius, onPick, onHover, onSelect],
  );
  return <Chart make={make} label={props.label} height={props.height ?? 320} />;
}

const HIDDEN = { values: (_: uPlot, ticks: number[]) => ticks.map(() => ""), size: 4, grid: { show: false } };

/** A scale with a little air around its extremes, also where all values are equal. */
function padded(_: uPlot, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, 1];
  const air = (high - low || Math.abs(high) || 1) * 0.05;
  return [low - air, high + air];
}

function agreement(u: uPlot): void {
  const low = Math.min(u.scales.x!.min!, u.scales.y!.min!);
  const high = Math.max(u.scales.x!.max!, u.scales.y!.max!);
  segment(u, [low, low], [high, high], color("quiet"), [4, 4]);
}

/** Draws a series as dots: uPlot's own path builders are for lines. */
function dots(radius: number): uPlot.Series.PathBuilder {
  return (u, index) => {
    const [xs, ys] = u.data[index] as unknown as [number[], number[]];
    const { ctx, bbox } = u;
    const size = radius * devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = (u.series[index] as unknown as { fill: () => string }).fill();
    ctx.globalAlpha = xs.length > 2000 ? 0.5 : 0.75;
    ctx.beginPath();
    xs.forEach((value, i) => {
      const px = u.valToPos(value, "x", true);
      const py = u.valToPos(ys[i]!, "y", true);
      ctx.moveTo(px + size, py);
      ctx.arc(px, py, size, 0, 2 * Math.PI);
    });
    ctx.fill();
    ctx.restore();
    return null;
  };
}

function follow(
  u: uPlot,
  clouds: readonly Cloud[],
  onPick: (id: number) => void,
  onHover?: (id: number | null) => void,
): void {
  const near = (event: MouseEvent) => nearest(u, clouds, event.offsetX, event.offsetY);
  u.over.addEventListener("click", (event) => {
    const id = near(event);
    if (id !== null) onPick(id);
  });
  if (!onHover) return;
  u.over.addEventListener("mousemove", (event) => {
    const id = near(event);
    u.over.style.cursor = id === null ? "" : "pointer";
    onHover(id);
  });
}

function nearest(u: uPlot, clouds: readonly Cloud[], left: number, top: number): number | null {
  let best: number | null = null;
  let distance = 12;
  for (const cloud of clouds) {
    cloud.x.forEach((value, i) => {
      const d = Math.hypot(u.valToPos(value, "x") - left, u.valToPos(cloud.y[i]!, "y") - top);
      if (d < distance) [best, distance] = [cloud.id[i]!, d];
    });
  }
  return best;
}

function inside(u: uPlot, clouds: readonly Cloud[]): number[] {
  const { left, top, width, height } = u.select;
  const [x0, x1] = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
  const [y1, y0] = [u.posToVal(top, "y"), u.posToVal(top + height, "y")];
  return clouds.flatMap((c) => c.id.filter((_, i) => c.x[i]! >= x0 && c.x[i]! <= x1 && c.y[i]! >= y0 && c.y[i]! <= y1));
}
