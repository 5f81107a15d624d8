import { useCallback } from "preact/hooks";
import type uPlot from "uplot";
import { axis, Chart } from "./chart";
import { segment } from "./marks";
import { color } from "./theme";

export interface Line {
  y: (number | null)[];
  /** Custom property that holds its color. */
  color: string;
  dash?: number[];
  dots?: boolean;
}

interface Props {
  at: readonly number[];
  lines: readonly Line[];
  x: string;
  y: string;
  label: string;
  /** Low and high ends of an interval about each point. */
  band?: { low: (number | null)[]; high: (number | null)[] } | null;
  /** Where along x a marker stands. */
  mark?: number | null;
  /** Draws the line y = 0. */
  zero?: boolean;
  log?: boolean;
  height?: number;
}

/** Lines over a common x, with an interval about the first. */
export function Lines({ at, lines, x, y, label, band, mark, zero, log, height = 220 }: Props) {
  const make = useCallback(() => {
    const edges = band ? [band.high, band.low] : [];
    return {
      options: {
        scales: {
          x: log
            ? {
                time: false,
                distr: 3 as const,
                range: (_: uPlot, low: number, high: number) => [low / 1.08, high * 1.08] as [number, number],
              }
            : { time: false },
          y: { range: { min: { pad: 0.1, ...SOFT }, max: { pad: 0.1, ...SOFT } } },
        },
        legend: { show: false },
        cursor: { show: false },
        axes: [axis(x, log ? { splits: () => [...at], filter: (_, splits) => splits } : {}), axis(y, { size: 46 })],
        bands: band ? [{ series: [lines.length + 1, lines.length + 2], fill: color("band") }] : [],
        series: [
          {},
          ...lines.map((line) => ({
            stroke: color(line.color),
            width: 2,
            dash: line.dash,
            points: { show: !!line.dots },
          })),
          ...edges.map(() => ({ width: 0, points: { show: false } })),
        ],
        hooks: { draw: [(u: uPlot) => guides(u, zero, mark)] },
      } as Omit<uPlot.Options, "width" | "height">,
      data: [[...at], ...lines.map((line) => line.y), ...edges] as uPlot.AlignedData,
    };
  }, [at, lines, x, y, band, mark, zero, log]);
  return <Chart make={make} label={label} height={height} />;
}

const SOFT = { soft: 0, mode: 3 as const };

function guides(u: uPlot, zero?: boolean, mark?: number | null): void {
  const { min: left, max: right } = u.scales.x!;
  const { min: low, max: high } = u.scales.y!;
  if (zero) segment(u, [left!, 0], [right!, 0], color("text"), []);
  if (mark !== null && mark !== undefined) segment(u, [mark, low!], [mark, high!], color("harm"), [4, 3]);
}
