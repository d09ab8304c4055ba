// What a notebook keeps of a view. Maps that would swell it stay behind: the picture beside the view is kept of them.

const MOST = 180_000; // letters, with numbers as base64

type State = Record<string, unknown>;
type Saving = { get_state?(dropDefaults?: boolean): State };

/** Let the host save a view's state without its maps where they are large. */
export function saveSmall(model: Saving | undefined): void {
  if (!model?.get_state || Object.hasOwn(model, "get_state")) return;
  const whole = model.get_state.bind(model);
  model.get_state = (dropDefaults) => small(whole(dropDefaults));
}

/** A state with its maps, or without them and all that is about their cells. */
export function small(state: State): State {
  const { _esm, _css, ...own } = state;
  return size(own) <= MOST ? state : { ...state, panels: [], pattern: {}, opened: [], picks: [], tokens: [] };
}

function size(value: unknown): number {
  if (ArrayBuffer.isView(value)) return (value.byteLength * 4) / 3;
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return String(value).length;
  return Object.entries(value).reduce((sum, [name, part]) => sum + name.length + size(part) + 4, 0);
}
