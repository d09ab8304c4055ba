// The brake: one model without a view, through which Stop is heard while a cell runs (mi_widgets/view/brake.py).

export type Line = { send(message: { type: "hello" } | { type: "stop"; view: string }): void };

export default {
  /** Said as soon as the model is there: Python's answer keeps the way free from then on. */
  initialize({ model }: { model: Line }): void {
    model.send({ type: "hello" });
  },
};
