import { useCallback } from "preact/hooks";
import uPlot from "uplot";
import { axis, Chart } from "./chart";
import { type Mark, vertical } from "./marks";
import { color } from "./theme";

interface Props {
  edges: readonly number[];
  counts: readonly number[];
  x: string;
  y: string;
  label: string;
  /** Lines over the histogram; the scale widens so that each is seen. */
  marks?: () => Mark[];
  height?: number;
}

/** A histogram from its bin edges and counts. */
export function Histogram({ edges, counts, x, y, label, marks, height = 200 }: Props) {
  const make = useCallback(() => {
    const lines = marks?.() ?? [];
    return {
      options: {
        scales: {
          x: { time: false, range: wide(edges, lines) },
          y: { range: (_: uPlot, __: number, high: number) => [0, high * 1.3 || 1] },
        },
        legend: { show: false },
        cursor: { show: false },
        axes: [axis(x), axis(y, { size: 44 })],
        series: [
          {},
          {
            fill: color("bar"),
            width: 0,
            paths: uPlot.paths.bars!({ size: [1, Infinity], align: 1, gap: 1 }),
            points: { show: false },
          },
        ],
        hooks: { draw: [(u: uPlot) => vertical(u, lines)] },
      } as Omit<uPlot.Options, "width" | "height">,
      data: [[...edges], [...counts, null]] as uPlot.AlignedData,
    };
  }, [edges, counts, x, y, marks]);
  return <Chart make={make} label={label} height={height} />;
}

function wide(edges: readonly number[], marks: readonly Mark[]): [number, number] {
  const all = [...edges, ...marks.map((mark) => mark.at)].filter(Number.isFinite);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const air = (high - low || 1) * 0.03;
  return [low - air, high + air];
}
