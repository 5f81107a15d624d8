import { expect, test } from "vitest";
import { formatUnits, parseUnits, removalPath, toCrossZero, without } from "../src/whatif";

const weights = [
  { unit: 4, weight: 2 },
  { unit: 9, weight: 1.5 },
  { unit: 1, weight: -1 },
];

test("leaving units out subtracts their weights, and units of no weight change nothing", () => {
  expect(without(3, weights, new Set())).toBe(3);
  expect(without(3, weights, new Set([4, 1, 77]))).toBe(2);
});

test("the path ends where removing everything ends", () => {
  const path = removalPath(3, weights);
  expect(path).toEqual([3, 1, -0.5, 0.5]);
  expect(path.at(-1)).toBe(without(3, weights, new Set([4, 9, 1])));
});

test("the crossing is the first change of sign, from either side", () => {
  expect(toCrossZero(3, weights)).toBe(2);
  expect(toCrossZero(-0.5, [{ unit: 1, weight: -1 }])).toBe(1);
  expect(toCrossZero(30, weights)).toBeNull();
  expect(toCrossZero(0, weights)).toBeNull();
});

test("units in a URL are numbers or nothing", () => {
  expect([...parseUnits("8,3,3,x,-1,2e3,<b>")]).toEqual([8, 3]);
  expect(formatUnits(new Set([8, 3]))).toBe("3,8");
  expect([...parseUnits(undefined)]).toEqual([]);
});
