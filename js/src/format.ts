// Numbers as a person reads them: a real minus sign, few figures, no "-0.00".

/** A number with two or few figures. */
export function plain(x: number): string {
  if (Number.isNaN(x)) return "not computed";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size < 0.00005) return minus(x.toExponential(1));
  return minus(x.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.0995 ? 2 : size >= 0.001 ? 3 : 4));
}

/** A whole number in groups of three digits. */
export function whole(x: number): string {
  return Math.round(x).toLocaleString("en");
}

/** A number to four figures, for what is read one by one. */
export function exact(x: number): string {
  if (Number.isNaN(x)) return "not computed";
  const size = Math.abs(x);
  if (Number.isInteger(x)) return minus(x.toLocaleString("en"));
  return minus(size >= 0.0001 && size < 10000 ? String(Number(x.toPrecision(4))) : x.toPrecision(4));
}

/** The same with its sign always shown. */
export function signed(x: number): string {
  return x > 0 ? `+${plain(x)}` : plain(x);
}

/** A probability as a percentage. */
export function percent(p: number): string {
  if (p > 0 && p < 0.001) return "<0.1 %";
  return `${(100 * p).toFixed(p < 0.0995 ? 1 : 0)} %`;
}

/** A waiting time in words, for the progress chip. */
export function wait(seconds: number): string {
  if (seconds < 1.5) return "about 1 s left";
  if (seconds < 90) return `about ${Math.round(seconds)} s left`;
  return `about ${Math.round(seconds / 60)} min left`;
}

/** "1 head", "2 heads". */
export function count(n: number, noun: string): string {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}

/** A name from the code as a word: `query_pos` is read "query", and of `layer·head` the head, whose label has both. */
export function axisWord(name: string): string {
  return name.replace(/^.*·/, "").replace(/_pos$/, "").replaceAll("_", " ");
}

const minus = (text: string) => text.replaceAll("-", "−");
