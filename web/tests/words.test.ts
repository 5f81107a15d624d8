import { expect, test } from "vitest";
import type { Words } from "../src/api/types";
import { firstSide, heading, order } from "../src/sides";
import { helping } from "../src/words";

const words = (better: string | null, zero = false): Words => ({
  output: "loss",
  short: "loss",
  about: "",
  better,
  zero,
  right: zero,
  helpful: "Most helpful",
  harmful: "Most harmful",
});
const weights = [
  { unit: 1, weight: 3 },
  { unit: 2, weight: -2 },
];

test("of losses what lowers them helps", () => {
  expect(helping(words("lower"))).toBe(-1);
  expect(order(weights, "helpful", words("lower")).map(({ unit }) => unit)).toEqual([2]);
  expect(order(weights, "harmful", words("lower")).map(({ unit }) => unit)).toEqual([1]);
  expect(order(weights, "helpful", words("higher")).map(({ unit }) => unit)).toEqual([1]);
  expect(order(weights, "helpful", words(null)).map(({ unit }) => unit)).toEqual([1]);
  expect(heading(words("lower"), "harmful")).toBe("Most harmful");
});

test("a what-if begins with the helpful ones, of wrong predictions with the harmful ones", () => {
  expect(firstSide(4, words("lower"))).toBe("helpful");
  expect(firstSide(-4, words("lower"))).toBe("helpful");
  expect(firstSide(-1, words("higher", true))).toBe("harmful");
  expect(firstSide(1, words("higher", true))).toBe("helpful");
});
