// The brush: what is pointed at in one map lights up in all the others that are linked with it, in this view and in others.

import type { Loop } from "./loop";

const EVENT = "mi-widgets:point";
type Pointed = { group: string; key: string; from: object };

export class Brush {
  /** `light` is told which key is pointed at elsewhere, "" for none. */
  constructor(
    private readonly loop: Loop,
    private readonly light: (key: string, from: object) => void,
  ) {
    document.addEventListener(EVENT, (event) => this.hear((event as CustomEvent<Pointed>).detail), { signal: loop.signal });
  }

  /** Tell the others; `from` is the map itself, which does not listen to itself. */
  point(key: string, from: object): void {
    document.dispatchEvent(new CustomEvent(EVENT, { detail: { group: this.group, key, from } }));
  }

  /** Views that Python linked share its group; any other is a group of its own. */
  private get group(): string {
    return this.loop.get("group") || this.loop.name;
  }

  private hear({ group, key, from }: Pointed): void {
    if (group === this.group) this.light(key, from);
  }
}
