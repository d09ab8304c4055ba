// What a widget may ask for. Any script in the page can send this event, so its content is checked, and never run.
import { limits } from "./limits";

export const INSERT_CODE = "mi-widgets:insert-code";

/** The code that the event carries, or null where it is not a request that can be met. */
export function codeFrom(event: Event): string | null {
  if (!(event instanceof CustomEvent) || event.type !== INSERT_CODE || event.defaultPrevented) return null;
  const code: unknown = event.detail?.code;
  if (typeof code !== "string" || code.trim() === "") return null;
  return new TextEncoder().encode(code).length <= limits.largestCode ? code : null;
}
