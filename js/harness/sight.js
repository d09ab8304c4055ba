// What a view looks like to a person, as numbers: sizes and contrasts of what is on the page, from its computed styles.

const pixel = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });

/** Any CSS colour as [red, green, blue, opacity], 0..1. */
function rgba(color) {
  pixel.clearRect(0, 0, 1, 1);
  pixel.fillStyle = color;
  pixel.fillRect(0, 0, 1, 1);
  return [...pixel.getImageData(0, 0, 1, 1).data].map((part) => part / 255);
}

const over = ([r, g, b, a], below) => [r, g, b].map((part, i) => a * part + (1 - a) * below[i]);

/** What is painted behind an element's content. */
function ground(element) {
  if (!element) return [1, 1, 1];
  const below = rgba(getComputedStyle(element).backgroundColor);
  return below[3] === 1 ? below.slice(0, 3) : over(below, ground(element.parentElement));
}

function contrast(one, other) {
  const linear = (x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

/** Of a colour on what is behind it. */
const against = (color, behind) => contrast(over(rgba(color), behind), behind);

const seen = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest(".mi-spoken");
const all = (selector) => [...document.querySelectorAll(`.mi-root ${selector}`)].filter(seen);
const named = (element) => `${element.tagName.toLowerCase()}.${element.getAttribute("class") ?? ""} ${element.ariaLabel ?? element.textContent}`.slice(0, 80);
const CONTROLS = "button, select, input, summary, a[href], [tabindex='0']";

/** Every element that has words of its own: how large they are on the screen, and their contrast. */
function words() {
  const own = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  return all("*").filter(own).map((element) => {
    const style = getComputedStyle(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const scale = element instanceof SVGGraphicsElement ? element.getScreenCTM().a : element.currentCSSZoom;
    return { name: named(element), size: parseFloat(style.fontSize) * scale, contrast: against(ink, ground(element)), disabled: element.matches(":disabled") };
  });
}

/** Every control: its size, and how well its outline, its filling or its glyph is told from what is around it. */
function controls() {
  return all(CONTROLS).map((element) => {
    const { width, height } = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    const around = ground(element.parentElement);
    const thumb = element.matches("[type=range]") && style.accentColor;
    const edges = [thumb, style.borderTopWidth !== "0px" && style.borderTopColor, style.backgroundColor, element.matches(":has(svg), :not(:empty)") && style.color];
    return { name: named(element), width, height, contrast: Math.max(...edges.filter(Boolean).map((color) => against(color, around))), disabled: element.matches(":disabled") };
  });
}

/** The outline of what has the focus now. */
function focus() {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  const drawn = style.outlineStyle !== "none";
  return { name: named(element), width: drawn ? parseFloat(style.outlineWidth) : 0, contrast: against(style.outlineColor, ground(element.parentElement)) };
}

/** What moves by itself, or would when it changes. */
function motion() {
  const seconds = (times) => Math.max(...times.split(",").map(parseFloat));
  const moving = (style) => seconds(style.transitionDuration) > 0 || (style.animationName !== "none" && seconds(style.animationDuration) > 0);
  return all("*").filter((element) => ["", "::before", "::after"].some((part) => moving(getComputedStyle(element, part || null)))).map(named);
}

window.sight = { words, controls, focus, motion, contrast };
