// Zooming by hand: the wheel with Ctrl held down, which is also what a pinch on a trackpad is, and two fingers.

type Point = { x: number; y: number };
const LINE = 16; // pixels of a wheel that counts in lines
const SWING = 0.01; // e-fold zoom for each pixel of the wheel
const MOST = 40; // pixels of one turn of a wheel that count

/** Call with (factor, x, y) in the node's own pixels; the wheel alone goes on to scroll. */
export function onZoom(node: HTMLElement, does: (factor: number, x: number, y: number) => void, signal: AbortSignal): void {
  node.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    does(turned(event), event.offsetX, event.offsetY);
  }, { passive: false, signal });
  pinch(node, does, signal);
}

function turned({ deltaY, deltaMode }: WheelEvent): number {
  const pixels = deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE * deltaY : deltaY;
  return Math.exp(-SWING * Math.max(-MOST, Math.min(MOST, pixels)));
}

function pinch(node: HTMLElement, does: (factor: number, x: number, y: number) => void, signal: AbortSignal): void {
  const fingers = new Map<number, Point>();
  const leave = (event: PointerEvent) => fingers.delete(event.pointerId);
  node.addEventListener("pointerdown", (event) => event.pointerType === "touch" && fingers.set(event.pointerId, placeOf(event)), { signal });
  node.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = span(fingers);
    fingers.set(event.pointerId, placeOf(event));
    if (before) does(span(fingers)! / before, ...between(fingers));
  }, { signal });
  for (const kind of ["pointerup", "pointercancel", "pointerleave"] as const) node.addEventListener(kind, leave, { signal });
}

const placeOf = ({ offsetX, offsetY }: PointerEvent): Point => ({ x: offsetX, y: offsetY });

/** How far two fingers are apart; null for fewer or more. */
function span(fingers: Map<number, Point>): number | null {
  const [a, b, ...more] = fingers.values();
  return b && !more.length ? Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)) : null;
}

function between(fingers: Map<number, Point>): [number, number] {
  const [a, b] = fingers.values();
  return [(a.x + b.x) / 2, (a.y + b.y) / 2];
}
