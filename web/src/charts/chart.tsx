import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { color, onTheme } from "./theme";

export interface Plot {
  options: Omit<uPlot.Options, "width" | "height">;
  data: uPlot.AlignedData;
}

interface Props {
  /** Makes the plot; called again when the theme changes. Keep it stable (useCallback), or the plot is made anew. */
  make: () => Plot;
  /** What the chart shows, for those who do not see it. */
  label: string;
  height?: number;
}

/** A uPlot chart that fills its column. */
export function Chart({ make, label, height = 220 }: Props) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = host.current!;
    let plot: uPlot | null = null;
    const width = () => Math.max(200, element.clientWidth);
    const draw = () => {
      plot?.destroy();
      const { options, data } = make();
      plot = new uPlot({ ...options, width: width(), height }, data, element);
    };
    draw();
    const resized = new ResizeObserver(() => {
      if (plot && plot.width !== width()) plot.setSize({ width: width(), height });
    });
    resized.observe(element);
    const silent = onTheme(draw);
    return () => {
      silent();
      resized.disconnect();
      plot?.destroy();
    };
  }, [make, height]);
  return <div class="chart" ref={host} role="img" aria-label={label} style={{ minHeight: `${height}px` }} />;
}

/** An axis in the page's type and colors. */
export function axis(label: string, more: Partial<uPlot.Axis> = {}): uPlot.Axis {
  const ink = color("quiet");
  return {
    label,
    labelSize: 18,
    labelGap: 2,
    labelFont: FONT,
    font: FONT,
    stroke: ink,
    size: 24,
    gap: 4,
    grid: { stroke: color("grid"), width: 1 },
    ticks: { show: false },
    values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : String(tick).replace("-", "−"))),
    ...more,
  };
}

const FONT = '12px system-ui, "Segoe UI", Roboto, sans-serif';
