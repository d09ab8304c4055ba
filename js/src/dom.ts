// Elements, made without markup: text only ever becomes a text node.

type Attribute = string | number | boolean | null | undefined | ((event: never) => void);
export type Child = Node | string | null | undefined | false;

const SVG = "http://www.w3.org/2000/svg";

/** An element; a function under `onclick` and the like listens, `true` and `false` set and leave out an attribute. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, Attribute> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return furnish(document.createElement(tag), attributes, children);
}

/** The same for a piece of SVG. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Record<string, Attribute> = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return furnish(document.createElementNS(SVG, tag), attributes, children);
}

/** A token's text, isolated so that a right-to-left one does not reorder its neighbours. */
export function bdi(text: string, attributes: Record<string, Attribute> = {}): HTMLElement {
  return h("bdi", attributes, text);
}

/** Where a pointer is, in an element's own pixels: also where the element is drawn enlarged. */
export function pointIn(element: HTMLElement, { clientX, clientY }: MouseEvent): { x: number; y: number } {
  const { left, top, width } = element.getBoundingClientRect();
  const own = element.offsetWidth / width;
  return { x: (clientX - left) * own, y: (clientY - top) * own };
}

/** Show or hide without leaving a gap. */
export function shown(element: HTMLElement, visible: boolean): void {
  element.hidden = !visible;
}

function furnish<E extends Element>(element: E, attributes: Record<string, Attribute>, children: Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child): child is Node | string => !!child));
  return element;
}
