// The conversation with Python: traits read and written, requests sent, and whether an answer is on its way.

import { filled, sameAct, sameDraft, samePicks, sameTray, sortedPicks } from "./border";
import { lacks, placeless } from "./deed";
import { saveSmall } from "./saved";
import type { Line } from "./brake";
import type { Act, BenchTraits, Draft, Kept, Message, Pick, Question, Result } from "./border";

/** What anywidget hands to a view, as far as a view uses it. */
export interface Model {
  get<K extends keyof BenchTraits>(name: K): BenchTraits[K];
  set<K extends keyof BenchTraits>(name: K, value: BenchTraits[K]): void;
  save_changes(): void;
  send(message: Message): void;
  on(event: string, does: () => void): void;
  off(event: string, does: () => void): void;
  /** ipywidgets' own, where that is the host: its models know whether a kernel is behind them. */
  widget_manager?: { get_model(id: string): Promise<Own> };
}

type Own = { comm_live?: boolean; get_state?(dropDefaults?: boolean): Record<string, unknown> };

/** Other models of the page, as anywidget gives them. */
export interface Host {
  getModel<T>(name: string): Promise<T>;
}

type Trait = keyof BenchTraits;
let born = 0;
const SOON = 2_000; // milliseconds within which a stop that was heard has done its work
const PATIENCE = 10_000; // after this many milliseconds without a sign from the kernel, say so

export class Loop {
  readonly name = `view-${++born}`;
  private asked = false;
  private unanswered = false;
  private gone = false;
  private timer = 0;
  private halt = 0;
  private halting: "" | "asked" | "late" = "";
  private readonly curious = new Set<() => void>();

  constructor(
    private readonly model: Model,
    readonly signal: AbortSignal,
    private readonly host?: Host,
  ) {
    this.listen(["status", "progress", "result", "error", "code", "pattern", "tray"], () => this.answered());
    this.listen(["status"], () => this.halted());
    void this.watchKernel();
    signal.addEventListener("abort", () => (clearTimeout(this.timer), clearTimeout(this.halt)));
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
    return !this.gone && (this.asked || ["running", "waiting"].includes(this.get("status")));
  }

  /** Whether anything is being computed for this view: a run, or maps that still fill while a run may be asked for. */
  get working(): boolean {
    return this.busy || (!this.gone && filled(this.get("progress")));
  }

  /** Whether there is no kernel behind the view any more. */
  get lost(): boolean {
    return this.gone;
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
    this.say({ type: "keep", ...this.draft });
  }

  fill(tray: Kept[]): void {
    if (!sameTray(tray, this.get("tray"))) this.write("tray", tray);
  }

  undo(): void {
    if (this.get("undoable")) this.say({ type: "undo" });
  }

  redo(): void {
    if (this.get("redoable")) this.say({ type: "redo" });
  }

  /** By both ways: the view's own may wait behind a busy cell, the brake's may not be there in every host. */
  stop(): void {
    const brake = this.get("brake");
    if (brake) void this.host?.getModel<Line>(brake).then((line) => line.send({ type: "stop", view: this.get("key") }));
    this.say({ type: "stop" });
    this.halting = "asked";
    this.halt = window.setTimeout(() => ((this.halting = "late"), this.tell()), SOON);
    this.tell();
  }

  /** Whether a stop is on its way, and has been for longer than it takes when the kernel hears it. */
  get stopping(): "" | "asked" | "late" {
    return this.working ? this.halting : "";
  }

  requestCode(): void {
    this.say({ type: "code", ...this.draft });
  }

  open(row: number, col: number): void {
    this.say({ type: "open", row, col });
  }

  question(question: Question): void {
    this.ask({ type: "ask", ...question });
  }

  choose(name: string, value: string): void {
    this.say({ type: "choose", name, value });
  }

  /** The one door for messages: without a kernel nothing goes out. */
  private say(message: Message): void {
    if (!this.gone) this.model.send(message);
  }

  private write<K extends Trait>(name: K, value: BenchTraits[K]): void {
    if (this.gone) return;
    this.model.set(name, value);
    this.model.save_changes();
  }

  private ask(message: Message): void {
    if (this.gone) return;
    this.asked = true;
    this.timer = window.setTimeout(() => this.doubt(), PATIENCE);
    this.tell();
    this.say(message);
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

  private async watchKernel(): Promise<void> {
    const own = await this.model.widget_manager?.get_model(this.get("key"));
    saveSmall(own);
    const look = () => {
      this.gone = own?.comm_live === false;
      if (this.gone) this.unanswered = false;
      this.tell();
    };
    this.listenTo("comm_live_update", look);
    look();
  }

  private halted(): void {
    clearTimeout(this.halt);
    this.halting = "";
  }

  private tell(): void {
    for (const does of this.curious) does();
  }

  private listen(names: Trait[], does: () => void): void {
    for (const name of names) this.listenTo(`change:${name}`, does);
  }

  private listenTo(event: string, does: () => void): void {
    this.model.on(event, does);
    this.signal.addEventListener("abort", () => this.model.off(event, does));
  }
}
