/** The statistics of a response: the time to its first token, its rate, and its token usage. */
import type { Usage } from "../../../client/typescript/src/index.js";
import { find, html } from "./dom.js";

const width = 320;
const height = 64;

/** The number of columns in the plot. */
const columns = 64;

const svgNamespace = "http://www.w3.org/2000/svg";

/** Measures one response, starting at construction. */
export class Stats {
  private readonly start = performance.now();
  private readonly arrivals: number[] = []; // of chunks, in milliseconds since the start
  private drawing = 0;
  private usage: Usage | undefined;

  constructor() {
    for (const id of ["first-token", "total-time", "rate", "usage"]) {
      html(id).textContent = "–";
    }
    this.draw(0);
  }

  /** The time since the request, in milliseconds. */
  elapsed(): number {
    return performance.now() - this.start;
  }

  /** Records a chunk with content, received `at` milliseconds after the request. */
  addChunk(at: number): void {
    this.arrivals.push(at);
    // At most one drawing per frame.
    this.drawing ||= requestAnimationFrame(() => {
      this.drawing = 0;
      this.show(this.elapsed());
    });
  }

  /** Records the token usage. */
  setUsage(usage: Usage): void {
    this.usage = usage;
  }

  /** Ends the measurement. Returns the total time in milliseconds. */
  end(): number {
    cancelAnimationFrame(this.drawing);
    const elapsed = this.elapsed();
    this.show(elapsed);
    return elapsed;
  }

  private show(elapsed: number): void {
    const first = this.arrivals[0];
    html("first-token").textContent = first === undefined ? "–" : duration(first);
    html("total-time").textContent = duration(elapsed);
    html("rate").textContent = this.rate();
    if (this.usage) {
      const { promptTokens, completionTokens } = this.usage;
      html("usage").textContent = `${promptTokens ?? "?"} in, ${completionTokens ?? "?"} out`;
      html("usage").title = details(this.usage);
    }
    this.draw(elapsed);
  }

  /** The chunks per second after the first. Most upstreams send one token per chunk. */
  private rate(): string {
    const [first, last] = [this.arrivals[0], this.arrivals.at(-1)];
    if (first === undefined || last === undefined || last <= first) {
      return "–";
    }
    return `${significant(((this.arrivals.length - 1) * 1000) / (last - first))}/s`;
  }

  /**
   * The rate at the time of each column, averaged over a window. The window spans
   * several chunks, so that a steady stream gives a flat line.
   */
  private rates(elapsed: number): number[] {
    const [first, last] = [this.arrivals[0] ?? 0, this.arrivals.at(-1) ?? 0];
    const interval = (last - first) / Math.max(1, this.arrivals.length - 1);
    const halfWindow = Math.max(elapsed / 24, 4 * interval);
    let [from, to] = [0, 0]; // the chunks within the window
    return Array.from({ length: columns }, (_, column) => {
      const time = ((column + 0.5) / columns) * elapsed;
      while ((this.arrivals[to] ?? Infinity) <= time + halfWindow) {
        to++;
      }
      while ((this.arrivals[from] ?? Infinity) < time - halfWindow) {
        from++;
      }
      const span = Math.min(time + halfWindow, last + interval) - Math.max(time - halfWindow, first);
      const within = time >= first - elapsed / columns && time <= last + interval;
      return within && span > 0 ? ((to - from) * 1000) / span : 0;
    });
  }

  private draw(elapsed: number): void {
    const plot = find("plot", SVGSVGElement);
    const rates = this.rates(elapsed);
    const peak = Math.max(...rates, 0);
    const points = rates.map((rate, i) => `${(((i + 0.5) / columns) * width).toFixed(1)},${(height - (peak && (rate / peak) * (height - 4))).toFixed(1)}`);
    plot.replaceChildren();
    if (peak > 0) {
      plot.append(
        shape("path", { class: "area", d: `M0,${height} L${points.join(" L")} L${width},${height} Z` }),
        shape("polyline", { class: "line", points: points.join(" ") }),
      );
      const x = (((this.arrivals[0] ?? 0) / elapsed) * width).toFixed(1);
      plot.append(shape("line", { class: "first", x1: x, x2: x, y1: "0", y2: String(height) }));
    }
    const perSecond = significant(peak);
    html("plot-peak").textContent = peak > 0 ? `peak ${perSecond}/s` : "";
    html("plot-end").textContent = elapsed > 0 ? duration(elapsed) : "";
    plot.setAttribute("aria-label", peak > 0
      ? `${this.arrivals.length} chunks in ${duration(elapsed)}, the first after ${duration(this.arrivals[0] ?? 0)}, at most ${perSecond} per second`
      : "No response yet");
  }
}

/** Formats a duration in milliseconds. */
export function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

function significant(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toPrecision(2);
}

function details(usage: Usage): string {
  return [
    ["total", usage.totalTokens],
    ["cached", usage.promptTokensDetails?.cachedTokens],
    ["reasoning", usage.completionTokensDetails?.reasoningTokens],
  ].filter(([, count]) => count !== undefined).map(([name, count]) => `${name}: ${count}`).join(", ");
}

function shape(name: string, attributes: Record<string, string>): SVGElement {
  const element = document.createElementNS(svgNamespace, name);
  for (const [key, value] of Object.entries(attributes)) {
    element.setAttribute(key, value);
  }
  return element;
}
