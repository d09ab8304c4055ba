import { expect, test } from "vitest";
import { limits } from "./limits";
import { codeFrom, INSERT_CODE } from "./request";

const request = (detail: unknown, type = INSERT_CODE) => new CustomEvent(type, { cancelable: true, detail });

test("code comes through as it was written", () => {
  expect(codeFrom(request({ code: "a = 1\n  b\u2028</script>" }))).toBe("a = 1\n  b\u2028</script>");
});

test.each([[undefined], [null], ["a = 1"], [{}], [{ code: 1 }], [{ code: ["a"] }], [{ code: "" }], [{ code: " \n" }]])(
  "%j is no code",
  (detail) => expect(codeFrom(request(detail))).toBeNull(),
);

test("only this event, and only once", () => {
  expect(codeFrom(request({ code: "a" }, "click"))).toBeNull();
  expect(codeFrom(new Event(INSERT_CODE))).toBeNull();
  const met = request({ code: "a" });
  met.preventDefault();
  expect(codeFrom(met)).toBeNull();
});

test("the limit is in bytes, and inclusive", () => {
  expect(codeFrom(request({ code: "x".repeat(limits.largestCode) }))).toHaveLength(limits.largestCode);
  expect(codeFrom(request({ code: "x".repeat(limits.largestCode + 1) }))).toBeNull();
  expect(codeFrom(request({ code: "é".repeat(limits.largestCode / 2 + 1) }))).toBeNull();
});
