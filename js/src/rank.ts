// How a cell compares with the others, without a page.

import type { Panel } from "./border";

const COARSE = 1 << 16;

/**
 * The cells' sizes, by which they are ranked; where less is better, the least number is the largest in this sense. Those that are not computed or outside the colour scale take no part.
 *
 * Sorted once into 65,536 bins by the upper half of their bits, so that a rank among a million cells is asked of one bin.
 */
export class Ranking {
  readonly total: number;
  private readonly sizes: Float32Array;
  private readonly bits: Uint32Array;
  private readonly starts = new Uint32Array(COARSE + 1); // of each bin, in `sorted`, and after the last one the end
  private readonly sorted: Float32Array;
  private largest = -1;

  constructor({ values, scale, bright, excluded, cols }: Pick<Panel, "values" | "scale" | "bright" | "excluded" | "cols">) {
    const size = scale === "signed" ? Math.abs : bright === "low" ? (value: number) => 0 - value : (value: number) => value + 0; // -0 is 0
    this.sizes = sizesOf(values.map(size), excluded, cols.labels.length);
    this.bits = new Uint32Array(this.sizes.buffer);
    this.total = this.count();
    this.sorted = new Float32Array(this.total);
    this.sort();
  }

  /** 1 for the largest; 0 for a cell that does not take part. */
  of(index: number): number {
    const size = this.sizes[index];
    if (Number.isNaN(size)) return 0;
    const bin = binOf(this.bits[index]);
    let rank = 1 + this.total - this.starts[bin + 1];
    for (let i = this.starts[bin]; i < this.starts[bin + 1]; i++) if (this.sorted[i] > size) rank++;
    return rank;
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
    return this.largest;
  }

  private count(): number {
    const { sizes, bits, starts } = this;
    let total = 0;
    for (let i = 0; i < sizes.length; i++) {
      if (sizes[i] !== sizes[i]) continue;
      starts[binOf(bits[i]) + 1]++;
      total++;
      if (this.largest < 0 || sizes[i] > sizes[this.largest]) this.largest = i;
    }
    for (let bin = 0; bin < COARSE; bin++) starts[bin + 1] += starts[bin];
    return total;
  }

  private sort(): void {
    const { sizes, bits, sorted } = this;
    const next = this.starts.slice();
    for (let i = 0; i < sizes.length; i++) if (sizes[i] === sizes[i]) sorted[next[binOf(bits[i])]++] = sizes[i];
  }
}

/** Without the columns outside the colour scale. */
function sizesOf(sizes: Float32Array, excluded: number[], cols: number): Float32Array {
  for (const col of excluded) for (let i = col; i < sizes.length; i += cols) sizes[i] = NaN;
  return sizes;
}

/** Of a float's bits, such that larger numbers are in later bins, negative ones too. */
const binOf = (bits: number) => ((bits >>> 31 ? ~bits : bits | 0x80000000) >>> 0) >>> 16;
