// A stand-in for anywidget: a model that is filled from the fixture and remembers what the page sent.

function revived(value) {
  if (Array.isArray(value)) return value.map(revived);
  if (value === null || typeof value !== "object") return value;
  if ("bytes" in value) return new DataView(Uint8Array.fromBase64(value.bytes).buffer);
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, revived(part)]));
}

class StandIn {
  constructor(state) {
    this.state = state;
    this.listeners = new Map();
    this.sent = [];
    this.saved = 0;
  }
  get(name) {
    return this.state[name];
  }
  set(name, value) {
    this.receive({ [name]: value });
  }
  /** As traits from Python do, in one hold_sync: first all values, then all the news of them. */
  receive(traits) {
    Object.assign(this.state, traits);
    for (const name of Object.keys(traits)) for (const does of this.listeners.get(`change:${name}`) ?? []) does();
  }
  save_changes() {
    this.saved += 1;
  }
  send(message) {
    this.sent.push(message);
  }
  on(event, does) {
    if (!this.listeners.has(event)) this.listeners.set(event, new Set());
    this.listeners.get(event).add(does);
  }
  off(event, does) {
    this.listeners.get(event)?.delete(does);
  }
}

const host = new URLSearchParams(location.search);
document.body.classList.toggle("dark", host.get("theme") === "dark");
document.documentElement.dir = host.get("dir") ?? "ltr";
const { stem, state } = await (await fetch("scene.json")).json();
const { default: widget } = await import(`./${stem}.js`);
const life = new AbortController();
window.model = new StandIn(revived(state));
window.life = life;
window.put = (traits) => window.model.receive(revived(traits));
document.body.dataset.mounted = "tried";
const began = performance.now();
widget.render({ model: window.model, el: document.getElementById("here"), signal: life.signal });
document.body.offsetHeight; // style and layout are part of it
window.opened = performance.now() - began;
document.body.dataset.mounted = "true";
