import { describe, expect, it } from "vitest";
import { saveSmall, small } from "./saved";

const map = (bytes: number) => ({ name: "heads", values: { shape: [1], data: new DataView(new ArrayBuffer(bytes)) } });

describe("what is saved of a view", () => {
  it("keeps a small map, however long the script", () => {
    const state = { _esm: "x".repeat(1e6), panels: [map(1000)], picks: [[0, 0, 0]] };
    expect(small(state)).toBe(state);
  });

  it("leaves a large map, and what is about its cells, behind", () => {
    const state = { title: "t", panels: [map(140_000)], picks: [[0, 0, 0]], result: { difference: 1 } };
    expect(small(state)).toMatchObject({ title: "t", panels: [], picks: [], result: { difference: 1 } });
  });

  it("is asked once of each model, which otherwise stays as it is", () => {
    class Model {
      get_state() {
        return { panels: [map(140_000)] };
      }
    }
    const model = new Model();
    saveSmall(model);
    const once = model.get_state;
    saveSmall(model);
    expect(model.get_state).toBe(once);
    expect(model.get_state().panels).toEqual([]);
    expect(new Model().get_state().panels).toHaveLength(1);
  });
});
