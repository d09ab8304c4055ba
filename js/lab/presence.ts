// The views of the page, as they make themselves known (js/src/presence.ts). What they say is checked before it is shown.
import { Signal, type ISignal } from "@lumino/signaling";
import { PRESENT, ROLL_CALL, type Handle } from "./handle";

/** The views that are on the page now. */
export class Roll {
  private readonly handles = new Map<Handle["root"], Handle>();
  private readonly _changed = new Signal<this, void>(this);

  constructor() {
    document.addEventListener(PRESENT, (event) => this.take((event as CustomEvent).detail));
    document.dispatchEvent(new CustomEvent(ROLL_CALL));
  }

  /** Emitted when a view comes, goes, or has something new to say. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get views(): Handle[] {
    return [...this.handles.values()].filter(({ root }) => root.isConnected);
  }

  private take(handle: unknown): void {
    if (!isHandle(handle) || this.handles.has(handle.root)) return;
    this.handles.set(handle.root, handle);
    handle.signal.addEventListener("abort", () => (this.handles.delete(handle.root), this._changed.emit()));
    handle.watch(() => this._changed.emit());
  }
}

/** Whether it has what a view has: any script of the page can send such an event. */
export function isHandle(thing: unknown): thing is Handle {
  if (typeof thing !== "object" || thing === null) return false;
  const handle = thing as Record<string, unknown>;
  const calls = ["read", "watch", "stop", "undo", "redo"].every((name) => typeof handle[name] === "function");
  return calls && handle.root instanceof HTMLElement && handle.signal instanceof AbortSignal;
}
