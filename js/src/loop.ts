// The conversation with Python: traits read and written, requests sent, and whether an answer is on its way.

import { filled, sameAct, sameDraft, samePicks, sameTray, sortedPicks } from "./border";
import { lacks, placeless } from "./deed";
import type { Act, BenchTraits, Draft, Kept, Message, Pick, Question, Result } from "./border";

/** What anywidget hands to a view, as far as a view uses it. */
export interface Model {
  get<K extends keyof BenchTraits>(name: K): BenchTraits[K];
  set<K extends keyof BenchTraits>(name: K, value: BenchTraits[K]): void;
  save_changes(): void;
  send(message: Message): void;
  on(event: string, does: () => void): void;
  off(event: string, does: () => void): void;
}

type Trait = keyof BenchTraits;
let born = 0;
const PATIENCE = 10_000; // after this many milliseconds without a sign from the kernel, say so

export class Loop {
  readonly name = `view-${++born}`;
  private asked = false;
  private unanswered = false;
  private timer = 0;
  private readonly curious = new Set<() => void>();

  constructor(
    private readonly model: Model,
    readonly signal: AbortSignal,
  ) {
    this.listen(["status", "progress", "result", "error", "code", "pattern", "tray"], () => this.answered());
    signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  get<K extends Trait>(name: K): BenchTraits[K] {
    return this.model.get(name);
  }

  /** Call now, and whenever one of these traits changes. */
  watch(names: Trait[], does: () => void): void {
    this.listen(names, does);
    does();
  }

  /** Call now, and whenever the view starts or stops waiting for the kernel. */
  watchBusy(does: () => void): void {
    this.curious.add(does);
    this.watch(["status", "progress"], does);
  }

  get draft(): Draft {
    return { picks: this.get("picks"), act: this.get("act"), tray: this.get("tray") };
  }

  /** Those picks that name a token position: where a direction can be added. */
  placed(picks: Pick[]): Pick[] {
    const panels = this.get("panels");
    return picks.filter(([panel]) => panels[panel]?.cols.name === "position");
  }

  /** Whether a cell is one of a lens, which reads tokens. */
  reads([panel]: Pick): boolean {
    return !!this.get("panels")[panel]?.top;
  }

  /** The last run, if there is one. */
  get result(): Result | null {
    const result = this.get("result");
    return filled(result) ? result : null;
  }

  /** Whether the result shown answers another question than the one drafted now. */
  get stale(): boolean {
    return !!this.result && !sameDraft(this.result, this.draft);
  }

  /** Why the draft cannot be run or written as code, or nothing. */
  get obstacle(): string {
    const { picks, act, tray } = this.draft;
    if (this.get("status") === "closed") return "The model is closed.";
    if (!picks.length && !placeless(act)) return tray.length ? "" : "Pick a cell first.";
    if (act.verb === "reading" && !picks.every((pick) => this.reads(pick))) return "Pick cells of the lens.";
    return lacks(act);
  }

  /** Whether there is a draft of its own that could be put into the tray. */
  get keepable(): boolean {
    const { picks, act } = this.draft;
    return !this.obstacle && (picks.length > 0 || placeless(act));
  }

  get busy(): boolean {
    return this.asked || ["running", "waiting"].includes(this.get("status"));
  }

  /** Whether anything is being computed for this view: a run, or maps that still fill while a run may be asked for. */
  get working(): boolean {
    return this.busy || filled(this.get("progress"));
  }

  /** Whether the kernel has been silent for so long that a person should know. */
  get silent(): boolean {
    return this.unanswered;
  }

  pick(picks: Pick[]): void {
    if (!samePicks(picks, this.get("picks"))) this.write("picks", sortedPicks(picks));
  }

  plan(act: Act): void {
    if (!sameAct(act, this.get("act"))) this.write("act", act);
  }

  run(): void {
    this.ask({ type: "run", ...this.draft });
  }

  /** Put the draft into the tray. */
  keep(): void {
    this.model.send({ type: "keep", ...this.draft });
  }

  fill(tray: Kept[]): void {
    if (!sameTray(tray, this.get("tray"))) this.write("tray", tray);
  }

  undo(): void {
    if (this.get("undoable")) this.model.send({ type: "undo" });
  }

  redo(): void {
    if (this.get("redoable")) this.model.send({ type: "redo" });
  }

  stop(): void {
    this.model.send({ type: "stop" });
  }

  requestCode(): void {
    this.model.send({ type: "code", ...this.draft });
  }

  open(row: number, col: number): void {
    this.model.send({ type: "open", row, col });
  }

  question(question: Question): void {
    this.ask({ type: "ask", ...question });
  }

  choose(name: string, value: string): void {
    this.model.send({ type: "choose", name, value });
  }

  private write<K extends Trait>(name: K, value: BenchTraits[K]): void {
    this.model.set(name, value);
    this.model.save_changes();
  }

  private ask(message: Message): void {
    this.asked = true;
    this.timer = window.setTimeout(() => this.doubt(), PATIENCE);
    this.tell();
    this.model.send(message);
  }

  private doubt(): void {
    this.asked = false;
    this.unanswered = true;
    this.tell();
  }

  private answered(): void {
    clearTimeout(this.timer);
    if (!this.asked && !this.unanswered) return;
    this.asked = this.unanswered = false;
    this.tell();
  }

  private tell(): void {
    for (const does of this.curious) does();
  }

  private listen(names: Trait[], does: () => void): void {
    for (const name of names) {
      this.model.on(`change:${name}`, does);
      this.signal.addEventListener("abort", () => this.model.off(`change:${name}`, does));
    }
  }
}
