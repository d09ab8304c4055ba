// How a cell compares with the others, without a page.

import type { Panel } from "./border";

/** The cells' sizes, by which they are ranked; NaN for those that are not computed or outside the colour scale. */
export class Ranking {
  readonly total: number;
  private readonly sizes: Float32Array;

  constructor({ values, scale, excluded, cols }: Pick<Panel, "values" | "scale" | "excluded" | "cols">) {
    const out = new Set(excluded);
    const width = cols.labels.length;
    this.sizes = values.map((value, i) => (out.has(i % width) ? NaN : scale === "signed" ? Math.abs(value) : value));
    this.total = this.sizes.reduce((count, size) => count + (Number.isNaN(size) ? 0 : 1), 0);
  }

  /** 1 for the largest; 0 for a cell that does not take part. */
  of(index: number): number {
    const size = this.sizes[index];
    if (Number.isNaN(size)) return 0;
    return this.sizes.reduce((rank, other) => rank + (other > size ? 1 : 0), 1);
  }

  /** The indices of the k largest, the largest first. */
  leaders(k: number): number[] {
    const leaders: number[] = [];
    this.sizes.forEach((size, i) => {
      if (Number.isNaN(size) || (leaders.length === k && size <= this.sizes[leaders[k - 1]])) return;
      const place = leaders.findIndex((other) => this.sizes[other] < size);
      leaders.splice(place < 0 ? leaders.length : place, 0, i);
      leaders.length = Math.min(leaders.length, k);
    });
    return leaders;
  }

  /** The index of the largest, or -1. */
  first(): number {
    let best = -1;
    for (let i = 0; i < this.sizes.length; i++) if (!(this.sizes[i] <= (this.sizes[best] ?? -Infinity)) && !Number.isNaN(this.sizes[i])) best = i;
    return best;
  }
}
